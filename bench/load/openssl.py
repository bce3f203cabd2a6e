"""What OpenSSL agrees to in clients that are not ours: what load.h tells those that are. Left alone, the newest would
offer a key exchange that outlives quantum computers (X25519MLKEM768), and only the peers that know it would pay for it.
"""

from collections.abc import Mapping
from pathlib import Path

SETTINGS = """\
openssl_conf = all
[all]
ssl_conf = tls
[tls]
system_default = clients
[clients]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_256_GCM_SHA384
Groups = X25519
"""


def environment(directory: Path) -> Mapping[str, str]:
    """Write the settings into `directory`; give the variable that names them."""
    file = directory / "clients-openssl.cnf"
    file.write_text(SETTINGS)
    return {"OPENSSL_CONF": str(file)}
