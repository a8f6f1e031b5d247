"""`python -m rivven_kafka.cli`."""

import sys

from rivven_kafka.cli.main import main

sys.exit(main())
