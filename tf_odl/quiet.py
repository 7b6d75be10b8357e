"""Keep libraries that write to the terminal from doing so."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from tf_odl.errors import UserError


@contextmanager
def quiet() -> Iterator[None]:
    """What is written to file descriptor 2 inside the block is shown only if the block fails.

    TensorFlow's C++ half writes there before any setting of its own can silence it.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except UserError:  # says all there is to say
            raise
        except Exception:
            log.seek(0)
            os.write(stderr, log.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
