"""Sample rates that audio may have."""

ACCEPTED_RATES = range(1000, 1_000_001)
"""Hz; what lies outside is a mistake, not audio."""
STREAM_RATES = range(8000, 96_001)
"""Of a server's streams, Hz."""
UPLOAD_RATES = range(1000, 192_001)
"""Of a server's files, Hz."""
