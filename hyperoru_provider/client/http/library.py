"""The HTTP library: httpx, or its maintained successor httpx2 where somebody has loaded that one already.

Airflow loads httpx up to 3.3 and httpx2 from 3.4 on, and a process need not pay for both. The two have the same names.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING or "httpx2" not in sys.modules:
    import httpcore
    import httpx
else:
    import httpcore2 as httpcore
    import httpx2 as httpx

__all__ = ["httpcore", "httpx"]
