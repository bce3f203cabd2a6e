"""nginx, one worker: the stream module for tcp, a proxy with upstream connections kept alive for http."""

from collections.abc import Mapping
from pathlib import Path

from bench.peers.peer import HOST, Job, Mode, Peer
from bench.peers.versions import version_of

STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")  # where Debian builds it apart
FOLDERS = ("client_body_temp_path", "proxy_temp_path", "fastcgi_temp_path", "uwsgi_temp_path", "scgi_temp_path")


def head(directory: Path, name: str) -> str:
    """Give what any nginx of ours begins with."""
    return f"""\
worker_processes 1;
worker_rlimit_nofile 65536;
daemon off;
user root;
pid {directory}/{name}.pid;
error_log {directory}/{name}.err;
events {{ worker_connections 30000; }}
"""


def folders(directory: Path) -> str:
    """Keep nginx from writing outside `directory`."""
    return "\n".join(f"    {name} {directory}/nginx-{name};" for name in FOLDERS)


def files(job: Job) -> Mapping[str, str]:
    """Give nginx.conf."""
    body = _http(job) if job.mode is Mode.HTTP else _stream(job)
    module = f"load_module {STREAM_MODULE};\n" if job.mode is Mode.TCP and STREAM_MODULE.exists() else ""
    return {"nginx.conf": module + head(job.directory, "nginx") + body}


def _tls(job: Job) -> str:
    cache = "shared:sessions:8m" if job.resumption else "off"
    return f"""\
        ssl_certificate {job.certificate};
        ssl_certificate_key {job.key};
        ssl_protocols TLSv1.3;
        ssl_session_tickets {"on" if job.resumption else "off"};
        ssl_session_cache {cache};
"""


def _stream(job: Job) -> str:
    return f"""\
stream {{
    server {{
        listen 127.0.0.1:{job.port} ssl backlog=4096;
{_tls(job)}        tcp_nodelay on;
        proxy_timeout 1h;
        proxy_pass 127.0.0.1:{job.upstream};
    }}
}}
"""


def _http(job: Job) -> str:
    return f"""\
http {{
    access_log off;
    keepalive_requests 100000000;
{folders(job.directory)}
    upstream one {{ server 127.0.0.1:{job.upstream}; keepalive 300; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{job.port} ssl backlog=4096;
        server_name {HOST};
{_tls(job)}        location / {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_pass http://one;
        }}
    }}
}}
"""


NGINX = Peer(
    name="nginx",
    label="nginx",
    program="nginx",
    advice="apt-get install nginx-light libnginx-mod-stream",
    modes=frozenset({Mode.TCP, Mode.HTTP}),
    files=files,
    arguments=lambda job: ["-c", str(job.directory / "nginx.conf"), "-e", str(job.directory / "nginx.err")],
    version=lambda program: version_of(program, "-v"),
)
