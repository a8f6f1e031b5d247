"""``python -m tests.support``: obtain both brokers now, where the progress can be seen."""

from tests.support.kafka_broker import obtain_kafka
from tests.support.msk_dist import amazon_client
from tests.support.rivvend_dist import rivvend_binary


def main() -> None:
    for path in (obtain_kafka().directory, rivvend_binary(), amazon_client()):
        print(path)


if __name__ == "__main__":
    main()
