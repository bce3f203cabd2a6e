"""Names of images, and which may run."""

import pytest

from controller.runtimes.kubernetes.images import ImageRefused, parse_image, permit

DIGEST = "sha256:" + "0f" * 32


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("acme/app", "docker.io/acme/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("registry:5000/a/b_c/d--e:v1", "registry:5000/a/b_c/d--e:v1"),
        (f"ghcr.io/acme/app@{DIGEST}", f"ghcr.io/acme/app@{DIGEST}"),
        (f"ghcr.io/acme/app:1@{DIGEST}", f"ghcr.io/acme/app:1@{DIGEST}"),
    ],
)
def test_names_in_full(text: str, full: str) -> None:
    assert str(parse_image(text)) == full


@pytest.mark.parametrize(
    "text",
    ["", " ", ":", "@", "nginx:", "nginx@", "Nginx", "a//b", "/nginx", "nginx/", "a b", "-a", "nginx@sha256:00",
     f"nginx@sha512:{'0' * 128}", "nginx:-x", f"nginx:{'x' * 129}", "x" * 300, "http://a.b/c", "a.b/c:d:e"],
)  # fmt: skip
def test_what_names_no_image(text: str) -> None:
    with pytest.raises(ImageRefused, match="expected registry/path"):
        parse_image(text)


@pytest.mark.parametrize(
    ("image", "pattern", "permitted"),
    [
        ("nginx", "docker.io/library/*", True),
        ("nginx:1", "docker.io/library/nginx", True),
        ("nginx:1", "nginx", False),  # patterns are full names
        ("acme/nginx", "docker.io/library/*", False),
        ("evil.example/docker.io/library/nginx", "docker.io/library/*", False),
        ("nginx:1.27", "docker.io/library/nginx:1.*", True),
        ("nginx:2", "docker.io/library/nginx:1.*", False),
        (f"nginx:1.27@{DIGEST}", "docker.io/library/nginx:1.*", False),  # the digest says what runs
        (f"nginx:1.27@{DIGEST}", f"docker.io/library/nginx@{DIGEST}", True),
        (f"nginx@{DIGEST}", "docker.io/library/nginx", True),
        (f"nginx@{DIGEST}", "docker.io/library/nginx@sha256:1*", False),
        ("registry:5000/a", "registry:5000/a", True),
    ],
)
def test_patterns(image: str, pattern: str, permitted: bool) -> None:
    if permitted:
        permit(parse_image(image), [pattern], require_digest=False)
    else:
        with pytest.raises(ImageRefused, match="not among the images allowed"):
            permit(parse_image(image), [pattern], require_digest=False)


def test_nothing_is_permitted_by_nothing() -> None:
    with pytest.raises(ImageRefused, match="ask whoever runs Podgate"):
        permit(parse_image("nginx"), [], require_digest=False)


def test_a_digest_can_be_required() -> None:
    permit(parse_image(f"nginx@{DIGEST}"), ["*"], require_digest=True)
    with pytest.raises(ImageRefused, match=r"name its content: docker\.io/library/nginx@sha256"):
        permit(parse_image("nginx"), ["*"], require_digest=True)
