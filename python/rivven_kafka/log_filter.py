"""Keeps secrets and records out of the log: the debug messages of the clients are full of both."""

from __future__ import annotations

import logging
import re

# A configuration, what goes over the wire, and records.
_FORMAT = re.compile(r"with configuration|\b(Send|Recv): |Sending \(key=|produce requests:|Produce Request:")
_MESSAGE = re.compile(r"\b(Sasl\w*|ProduceRequest|FetchResponse)\(|auth_bytes|password|proxy_url")


class KafkaSecretsFilter(logging.Filter):
    """Leaves out the debug messages of kafka-python that hold passwords, tokens or the content of records.

    Those of botocore, which show what AWS answers, are left out altogether. Add it to each handler that shows
    debug messages of the loggers below `kafka` and `botocore`; a filter of a logger does not see the records
    of the loggers below it. Messages of other loggers, and warnings and errors, pass.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show a record."""
        library = record.name.partition(".")[0]
        if library == "botocore":
            return record.levelno > logging.DEBUG
        if record.levelno > logging.INFO or library != "kafka":
            return True
        # The format first: it saves writing out whole batches of records.
        return not (_FORMAT.search(str(record.msg)) or _MESSAGE.search(record.getMessage()))
