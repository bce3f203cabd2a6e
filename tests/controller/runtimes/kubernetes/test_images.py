"""Names of images, and which may run."""

import pytest

from controller.runtimes.kubernetes.images import ImageRefused, check_content, parse_image, parse_pattern, permit

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
        ("acme/nginx", "docker.io/library/*", False),
        ("evil.example/docker.io/library/nginx", "docker.io/library/*", False),
        ("nginx:1.27", "docker.io/library/nginx:1.*", True),
        ("nginx:2", "docker.io/library/nginx:1.*", False),
        (f"nginx:1.27@{DIGEST}", "docker.io/library/nginx:1.*", False),  # the digest says what runs
        (f"nginx:1.27@{DIGEST}", f"docker.io/library/nginx@{DIGEST}", True),
        (f"nginx@{DIGEST}", "docker.io/library/nginx", True),
        (f"nginx@{DIGEST}", "docker.io/library/nginx@sha256:1*", False),
        ("registry:5000/a", "registry:5000/a", True),
        ("nginx", "*/*", True),
    ],
)
def test_patterns(image: str, pattern: str, permitted: bool) -> None:
    if permitted:
        permit(parse_image(image), [pattern])
    else:
        with pytest.raises(ImageRefused, match="not among the images allowed"):
            permit(parse_image(image), [pattern])


def test_nothing_is_permitted_by_nothing() -> None:
    with pytest.raises(ImageRefused, match="ask whoever runs Podgate"):
        permit(parse_image("nginx"), [])


def test_a_digest_can_be_required() -> None:
    check_content(parse_image(f"nginx@{DIGEST}"))
    with pytest.raises(ImageRefused, match=r"name its content: docker\.io/library/nginx@sha256"):
        check_content(parse_image("nginx"))


ACME = (
    "registry.acme.test/team/*",
    "registry.acme.test:5000/app:1.*",
    f"ghcr.io/acme/app@{DIGEST}",
    "*.acme.test/open/*",
)


@pytest.mark.parametrize(
    "image",
    [
        "registry.acme.test.evil.test/team/app",  # a registry that begins so
        "registry.acme.test:5000/team/app",  # another port is another registry
        "registry.acme.test:443/team/app",
        "evil.test/registry.acme.test/team/app",  # a path that looks like a registry
        "evil.test/x.acme.test/open/app",
        "evil.test:80/x.acme.test/open/app",
        "registry.acme.test-team/app",
        "evil-registry.acme.test/team/app",
        "acme.test/open/app",  # the star stands for a name before the dot
        "REGISTRY.acme.test/team/app",  # not lower case: not what was allowed
        "registry.acme.test/teams/app",
        "registry.acme.test/team",
        "registry.acme.test:5000/app:2.0",
        "registry.acme.test:5000/app",  # latest
        "registry.acme.test:5000/app/more:1.0",
        f"registry.acme.test:5000/app:1.0@{DIGEST}",  # what the tag was is not what runs
        "ghcr.io/acme/app",
        "ghcr.io/acme/app:1",
        f"ghcr.io/acme/app@sha256:{'1' * 64}",
        f"ghcr.io/acme/app2@{DIGEST}",
        f"ghcr.io.evil.test/acme/app@{DIGEST}",
        "team/app",
        "docker.io/registry.acme.test/team/app",
    ],
)
def test_what_only_looks_allowed(image: str) -> None:
    with pytest.raises(ImageRefused, match="not among the images allowed"):
        permit(parse_image(image), ACME)


@pytest.mark.parametrize(
    "image",
    [
        "allowed.test@evil.test/app",
        "registry.acme.test/team/app@sha256:00",
        f"registry.acme.test/team/app@{DIGEST}@{DIGEST}",
        f"registry.acme.test/team/app@{DIGEST}/x",
        f"registry.acme.test/team/app@{DIGEST.upper()}",
        "registry.acme.test/team/../../evil",
        "registry.acme.test/team/./app",
        "registry.acme.test/team//app",
        "registry.acme.test/team/App",
        "registry.acme.test/team/app:1\n",
        "registry.acme.test\n/team/app",
        "registry.acme.test/team/ app",
        "registry.acme.test\u2024evil/team/app",
        "registry.acme.test\uff0fteam/app",
        "https://registry.acme.test/team/app",
        "user:pass@registry.acme.test/team/app",
        "registry.acme.test:99999999/team/app",
        "[::1]:5000/team/app",
    ],
)
def test_what_confuses_is_no_image(image: str) -> None:
    with pytest.raises(ImageRefused, match="expected registry/path"):
        permit(parse_image(image), ACME)


@pytest.mark.parametrize(
    "image",
    ["registry.acme.test/team/app", "registry.acme.test/team/a/b:3", f"registry.acme.test/team/app:3@{DIGEST}",
     "registry.acme.test:5000/app:1.0", f"ghcr.io/acme/app@{DIGEST}", f"ghcr.io/acme/app:1@{DIGEST}",
     "eu.acme.test/open/app"],
)  # fmt: skip
def test_what_is_allowed(image: str) -> None:
    permit(parse_image(image), ACME)


@pytest.mark.parametrize(
    "pattern", ["nginx", "*", "acme/*", "ghcr.io", "ghcr.io/", "/app", "ghcr.io/app:", "ghcr.io/a@", "ä.b/c"]
)
def test_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(ImageRefused, match="expected registry/path in full"):
        parse_pattern(pattern)
