"""Values without the field of the key are told of, but not each."""

from rivven_kafka.pipeline import missing_keys, news


def test_they_are_told_once_a_minute(caplog, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(news.time, "monotonic", lambda: now)
    missing = missing_keys.MissingKeys("out", "id")

    def told(count):
        caplog.clear()
        missing.look(count)
        return [(record.getMessage(), record.connector) for record in caplog.records]

    assert told(0) == []
    assert told(3) == [("3 records have no field 'id': their key is the Rivven key (key_field)", "out")]
    now += 59
    assert told(5) == []
    now += 2
    [(message, _)] = told(9)
    assert message.startswith("6 records ")
    now += 100
    assert told(9) == []
