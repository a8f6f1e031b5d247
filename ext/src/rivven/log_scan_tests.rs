//! Scans of logs that answer as a sound rivvend does, and of logs that do not.

use std::sync::atomic::{AtomicUsize, Ordering};

use rivven_protocol::MessageData;

use super::*;
use crate::rivven::mock::{broker, error, link, Reply};
use crate::rivven::stop::Stop;

/// A link to a broker whose log has these bounds; `consume` answers reads of (offset, messages).
fn log(bounds: (u64, u64), consume: impl FnMut(u64, u32) -> Reply + Send + 'static) -> Link {
    moving(vec![bounds], consume)
}

/// The same with the bounds of each question for them; the last ones stay.
fn moving(bounds: Vec<(u64, u64)>, mut consume: impl FnMut(u64, u32) -> Reply + Send + 'static) -> Link {
    let mut asked = 0;
    let address = broker(move |request| match request {
        Request::GetOffsetBounds { .. } => {
            let (earliest, latest) = bounds[asked.min(bounds.len() - 1)];
            asked += 1;
            Reply::Answer(Response::OffsetBounds { earliest, latest })
        }
        Request::Consume { offset, max_messages, .. } => consume(offset, max_messages),
        _ => Reply::Hang,
    });
    Link::new(link(&address, 3), Arc::new(Stop::new()))
}

fn messages(offsets: impl IntoIterator<Item = u64>) -> Reply {
    let message =
        |offset: u64| MessageData::new(offset, format!("v{offset}").into_bytes(), 0).with_key(&b"k"[..]);
    Reply::Answer(Response::Messages { messages: offsets.into_iter().map(message).collect() })
}

/// What a log of `latest` sound records answers, at most `page` at a time.
fn sound(latest: u64, page: u64) -> impl FnMut(u64, u32) -> Reply + Send + 'static {
    move |offset, most| messages(offset..latest.min(offset + page.min(u64::from(most))))
}

fn offsets(link: &mut Link, from: i64, until: i64) -> Result<Vec<i64>> {
    let mut seen = Vec::new();
    let end = scan(link, "t", 3, from, until, &mut |record| {
        assert_eq!((record.key, record.value), (Some(&b"k"[..]), format!("v{}", record.offset).as_bytes()));
        seen.push(record.offset);
        Ok(())
    })?;
    assert_eq!(end.records, seen.len() as u64);
    Ok(seen)
}

#[track_caller]
fn assert_damaged<T: std::fmt::Debug>(result: Result<T>, offset: i64, seen: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind, Kind::LogDamaged, "{error}");
    assert_eq!((error.topic.as_deref(), error.partition, error.offset), (Some("t"), Some(3), Some(offset)));
    assert!(error.message.starts_with(seen), "{error}");
    assert!(error.message.contains("/wal/*.wal"), "{error}");
}

#[test]
fn every_record_is_visited_once_and_none_behind_the_end() {
    let mut link = log((0, 100), sound(100, 7));
    assert_eq!(offsets(&mut link, 10, 60).unwrap(), (10..60).collect::<Vec<_>>());
    assert_eq!(offsets(&mut link, 60, 60).unwrap(), Vec::<i64>::new());
}

#[test]
fn a_jump_in_the_middle_of_an_answer_is_damage() {
    let mut link = log((0, 9), |_, _| messages([0, 1, 5]));
    let error = offsets(&mut link, 0, 9).unwrap_err();
    assert_eq!(error.kind, Kind::LogDamaged);
    assert!(error.message.contains("jumps from offset 1 to 5"), "{error}");
}

#[test]
fn a_scan_survives_lost_connections_throttling_and_answers_that_do_not_fit() {
    let mut asked = 0;
    let mut answer = sound(40, 5);
    let throttled =
        || Response::Throttled { throttle_time_ms: 1, quota_type: String::new(), entity: String::new() };
    let mut link = log((0, 40), move |offset, most| {
        asked += 1;
        match asked % 5 {
            1 => Reply::Hang,
            2 => Reply::Answer(throttled()),
            3 => error("BUFFER_FULL"),
            4 if most > 3 => error("INTERNAL_ERROR: response send failed"),
            _ => answer(offset, most),
        }
    });
    assert_eq!(offsets(&mut link, 0, 40).unwrap(), (0..40).collect::<Vec<_>>());
}

#[test]
fn a_scan_gives_up_where_the_backoff_does() {
    let mut link = log((0, 40), |_, _| Reply::Hang);
    let error = offsets(&mut link, 5, 40).unwrap_err();
    assert_eq!((error.kind, error.offset), (Kind::Connect, Some(5)));
    assert!(error.message.ends_with("(after 3 retries)"), "{error}");
}

#[test]
fn a_record_that_fits_nowhere_is_an_error_at_its_offset() {
    let mut link = log((0, 40), |_, _| error("INTERNAL_ERROR: response send failed"));
    for error in [offsets(&mut link, 5, 40).unwrap_err(), check_tail(&mut link, "t", 3, Some(6)).unwrap_err()]
    {
        assert_eq!((error.kind, error.offset), (Kind::RecordTooLarge, Some(5)));
    }
}

#[test]
fn what_the_visitor_says_ends_the_scan() {
    let mut link = log((0, 40), sound(40, 5));
    let mut seen = 0;
    let result = scan(&mut link, "t", 3, 0, 40, &mut |_| {
        seen += 1;
        Err(Error::new(Kind::Config, "enough"))
    });
    assert_eq!((result.unwrap_err().kind, seen), (Kind::Config, 1));
}

#[test]
fn answers_of_a_damaged_log_are_recognised_and_not_used() {
    let cases: [(&[u64], &str); 5] = [
        (&[], "nothing comes at 5, although the log goes on to 40;"),
        (&[7, 8], "a read from 5 begins at offset 7;"),
        (&[5, 6, 0, 0], "a read from 5 gives offset 0;"),
        (&[5, 7, 6], "offset 6 comes behind offset 7;"),
        (&[5, 6, 6], "offset 6 comes behind offset 6;"),
    ];
    for (answer, seen) in cases {
        let mut link = log((0, 40), move |offset, _| {
            messages(if offset == 0 { vec![0, 1, 2, 3, 4] } else { answer.to_vec() })
        });
        let mut visited = 0;
        let result = scan(&mut link, "t", 3, 0, 40, &mut |_| {
            visited += 1;
            Ok(())
        });
        assert_damaged(result, 5, seen);
        assert_eq!(visited, 5, "nothing of the answer that does not fit");
    }
}

#[test]
fn deleted_records_are_no_damage() {
    let mut link = log((7, 40), |_, _| messages([7, 8]));
    let error = offsets(&mut link, 5, 40).unwrap_err();
    assert_eq!((error.kind, error.offset), (Kind::OffsetOutOfRange, Some(5)));
    assert_eq!(offsets(&mut link, 7, 9).unwrap(), [7, 8]);
}

#[test]
fn a_sound_tail_gives_the_bounds() {
    for (bounds, known_end, read) in [
        ((0, 0), None, None),
        ((0, 0), Some(0), None),
        ((7, 7), None, None),
        ((0, 1), Some(0), Some(0)),
        ((0, 40), None, Some(39)),
        ((0, 4000), None, Some(3999)),
        ((0, 40), Some(40), Some(39)),
        ((0, 40), Some(20), Some(19)),
        ((30, 40), Some(20), Some(30)),
    ] {
        let mut answer = sound(bounds.1, 100);
        let asked = Arc::new(AtomicUsize::new(usize::MAX));
        let seen = Arc::clone(&asked);
        let mut link = log(bounds, move |offset, most| {
            seen.store(offset as usize, Ordering::Relaxed);
            answer(offset, most)
        });
        let expected = (bounds.0 as i64, bounds.1 as i64);
        assert_eq!(check_tail(&mut link, "t", 3, known_end).unwrap(), expected, "{bounds:?} {known_end:?}");
        assert_eq!(asked.load(Ordering::Relaxed), read.unwrap_or(usize::MAX), "{bounds:?} {known_end:?}");
    }
}

#[test]
fn a_tail_that_is_gone_or_unreadable_is_damage() {
    let mut shrunk = log((0, 1), sound(1, 100));
    assert_damaged(
        check_tail(&mut shrunk, "t", 3, Some(1000)),
        1,
        "the log ends at 1, although records up to 1000",
    );
    assert!(check_tail(&mut shrunk, "t", 3, None).is_ok());
    let cases: [(&[u64], &str); 4] = [
        (&[], "nothing comes at 999, although the log ends at 1000;"),
        (&[1000], "a read from 999 begins at offset 1000;"),
        (&[999, 0, 0], "a read from 999 gives offset 0;"),
        (&[999, 999], "offset 999 comes behind offset 999;"),
    ];
    for (answer, seen) in cases {
        let mut link = log((0, 1000), move |_, _| messages(answer.to_vec()));
        assert_damaged(check_tail(&mut link, "t", 3, None), 999, seen);
        assert_damaged(check_tail(&mut link, "t", 3, Some(1000)), 999, seen);
    }
}

#[test]
fn copies_of_a_replay_are_passed_over_where_nothing_is_hidden() {
    for (answer, end) in [
        (vec![0, 0], 1),
        (vec![0, 1, 2, 0, 0, 0], 3),
        (vec![0, 1, 2, 0, 0, 0, 3, 4], 5),
        (vec![0, 0, 0, 1, 2], 3),
    ] {
        let stored = answer.clone();
        let consume =
            move |offset, _| messages(stored.iter().copied().filter(|at| *at >= offset).collect::<Vec<_>>());
        let mut link = log((0, end), consume);
        for known_end in [None, Some(1), Some(end as i64)] {
            assert_eq!(check_tail(&mut link, "t", 3, known_end).unwrap(), (0, end as i64), "{answer:?}");
        }
        for until in 1..=end as i64 {
            assert_eq!(offsets(&mut link, 0, until).unwrap(), (0..until).collect::<Vec<_>>(), "{answer:?}");
        }
    }
}

#[test]
fn records_that_hide_behind_others_are_damage() {
    let cases: [(&[u64], u64, &str); 4] = [
        (&[0, 1, 2, 0, 0], 1, "the log ends at 1, and holds offset 2 behind that"),
        (&[0, 1, 2, 0, 0, 1], 2, "offset 1 comes behind offset 2;"),
        (&[0, 1, 2, 0, 0, 1, 2, 3], 4, "offset 1 comes behind offset 2;"),
        (&[0, 1, 1], 2, "offset 1 comes behind offset 1;"),
    ];
    for (answer, end, seen) in cases {
        let mut link = log((0, end), move |offset, _| {
            messages(answer.iter().copied().filter(|at| *at >= offset).collect::<Vec<_>>())
        });
        let at = i64::from(end == 1);
        assert_damaged(check_tail(&mut link, "t", 3, None), at, seen);
        if end > 1 {
            assert_damaged(scan(&mut link, "t", 3, 0, end as i64, &mut |_| Ok(())), 0, seen);
        }
    }
    // What was appended after the question for the end is not behind it.
    let mut link = moving(vec![(0, 3), (0, 5)], sound(5, 100));
    assert_eq!(check_tail(&mut link, "t", 3, None).unwrap(), (0, 3));
}

#[test]
fn bounds_that_move_meanwhile_are_no_damage() {
    // An append that fails: the end is there for a moment.
    let mut full = moving(vec![(0, 1001), (0, 1001), (0, 1000)], sound(1000, 2000));
    assert_eq!(check_tail(&mut full, "t", 3, None).unwrap(), (0, 1000));
    let mut full = moving(vec![(0, 1001), (0, 1001), (0, 1000)], sound(1000, 2000));
    assert_eq!(check_tail(&mut full, "t", 3, Some(800)).unwrap(), (0, 1000));
    let mut full = moving(vec![(0, 1001), (0, 1000)], sound(1000, 2000));
    assert_damaged(
        check_tail(&mut full, "t", 3, Some(1001)),
        1000,
        "the log ends at 1000, although records up to 1001",
    );
    let mut full = log((0, 1000), sound(1000, 2000));
    let error = offsets(&mut full, 990, 1001).unwrap_err();
    assert_eq!((error.kind, error.offset), (Kind::RetriableBroker, Some(1000)));
    // Records deleted up to the end, or before the last one.
    let mut deleted = moving(vec![(0, 1000), (1000, 1000)], |_, _| messages([]));
    assert_eq!(check_tail(&mut deleted, "t", 3, None).unwrap(), (1000, 1000));
    let gone = |offset: u64, most| sound(1000, 2000)(offset.max(900), most);
    let mut deleted = moving(vec![(0, 1000), (900, 1000)], gone);
    assert_eq!(check_tail(&mut deleted, "t", 3, Some(500)).unwrap(), (900, 1000));
    let mut deleted = log((900, 1000), |_, _| messages([]));
    let error = offsets(&mut deleted, 800, 1000).unwrap_err();
    assert_eq!((error.kind, error.offset), (Kind::OffsetOutOfRange, Some(800)));
    // The marker of a transaction, behind what is known.
    let mut marker = log((0, 1000), sound(999, 100));
    assert_eq!(check_tail(&mut marker, "t", 3, Some(500)).unwrap(), (0, 1000));
}

#[test]
fn a_tail_of_large_records_is_read_with_fewer_messages() {
    let mut link = log((0, 40), |offset, most| match most {
        2.. => error("INTERNAL_ERROR: response send failed"),
        _ => messages([offset]),
    });
    assert_eq!(check_tail(&mut link, "t", 3, Some(10)).unwrap(), (0, 40));
}

#[test]
fn a_closed_client_scans_nothing() {
    let address = broker(|_| Reply::Silence);
    let stop = Arc::new(Stop::new());
    let mut link = Link::new(link(&address, 3), Arc::clone(&stop));
    stop.stop();
    assert_eq!(offsets(&mut link, 0, 1).unwrap_err().kind, Kind::Connect);
    assert_eq!(check_tail(&mut link, "t", 3, None).unwrap_err().kind, Kind::Connect);
}
