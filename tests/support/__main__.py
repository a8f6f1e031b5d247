"""``python -m tests.support``: obtain both brokers now, where the progress can be seen."""

from tests.support.kafka_dist import kafka_libs
from tests.support.rivvend_dist import rivvend_binary


def main() -> None:
    for path in (kafka_libs(), rivvend_binary()):
        print(path)


if __name__ == "__main__":
    main()
