"""Distinct documents, valid and refused, leave a process of its own within its memory.

The whole: python -m tests.attacks.document_matrix --documents 100000
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from services.embedded.servers import die_with_parent
from services.settings.settings import Settings
from tests.attacks.document_matrix import write_document
from tests.support.thoroughness import share_of

DOCUMENTS = share_of(1_800, are_new=True)  # fewer would fill no memory
_ROOT = Path(__file__).parents[2]
_SECONDS = 180.0


async def test_distinct_documents_leave_a_process_within_its_memory(settings: Settings) -> None:
    # given documents unlike each other, half of them refused
    written = [write_document(number) for number in range(DOCUMENTS)]
    assert len({text for text, _ in written}) == DOCUMENTS
    # when a process of its own gets them
    own = {
        "PYTHONPATH": str(_ROOT),
        "MONGODB_URI": settings.mongodb_uri or "",
        "MONGODB_DATABASE": f"{settings.mongodb_database}_documents",
        "REDIS_URL": settings.redis_url or "",
        "REDIS_KEY_PREFIX": "documents:",
        "DATA_DIR": str(settings.data_dir / "documents"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.attacks.document_matrix", "--documents", str(DOCUMENTS)),
        cwd=_ROOT,
        env={"PATH": os.environ["PATH"], **own},
        preexec_fn=die_with_parent(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    # then each was answered as it must be, and memory stayed within its bound
    print(output.decode())  # shown by -rP
    assert process.returncode == 0, output.decode()[-2_000:]
    assert f"{DOCUMENTS} documents: " in output.decode()
