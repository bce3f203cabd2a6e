"""The only two things the opening phases await. Whatever loop can wait for a descriptor can drive them; here, trio."""

import trio

readable = trio.lowlevel.wait_readable
writable = trio.lowlevel.wait_writable
