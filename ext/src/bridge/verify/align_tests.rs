use super::*;

/// Where `kafka` begins in `rivven`, of which `committed` are committed, and a range of `in_range`.
fn place(kafka: &[u128], rivven: &[u128], committed: usize, in_range: usize) -> i64 {
    let mut rest = Rest::default();
    for (index, digest) in kafka.iter().enumerate() {
        rest.add(*digest, index < in_range, index < committed);
    }
    let mut align = Align::new(&rest, rivven.len() as i64);
    let range = align.range();
    for (offset, digest) in rivven.iter().enumerate() {
        // No others are read.
        if range.contains(&(offset as i64)) {
            align.add(offset as i64, *digest);
        }
    }
    align.place()
}

fn repeated(count: u128, after: u128) -> Vec<u128> {
    (0..count).map(|n| n % after).collect()
}

#[test]
fn values_that_repeat_are_told_by_their_number() {
    for after in [1, 2, 10, 700] {
        let all = repeated(2000, after);
        for start in [700, 1500, 1990, 1998, 2000] {
            let kafka = &all[start..];
            assert_eq!(place(kafka, &all, kafka.len(), kafka.len()), start as i64, "{after} {start}");
        }
    }
}

#[test]
fn what_lags_is_found_by_the_records() {
    let all = repeated(3000, 3000);
    for copied in [2000, 2100, 2999, 3000] {
        assert_eq!(place(&all[1000..], &all[..copied], 1000, 1000), 1000, "{copied}");
    }
    // Of values that repeat, as far as they tell it.
    let all = repeated(3000, 7);
    assert_eq!(place(&all[1000..], &all[..2000], 1000, 1000), 1000);
    assert_eq!(place(&all[1000..], &all[..2003], 1000, 1000) % 7, 1000 % 7);
}

#[test]
fn few_differences_move_the_place() {
    let all = repeated(900, 900);
    let kafka = &all[500..];
    let check = |wanted: i64, edit: &dyn Fn(&mut Vec<u128>)| {
        let mut rivven = all.clone();
        edit(&mut rivven);
        assert_eq!(place(kafka, &rivven, 400, 400), wanted);
    };
    check(500, &|rivven| _ = rivven.remove(510));
    check(500, &|rivven| _ = rivven.drain(510..530));
    check(500, &|rivven| rivven[510] = 7);
    check(500, &|rivven| rivven.insert(510, 509));
    check(500, &|rivven| _ = rivven.remove(800));
    // What is in the place of the first is its place.
    check(499, &|rivven| _ = rivven.remove(500));
}

#[test]
fn an_equal_record_does_not_stand_for_a_lost_one() {
    for after in [700, 20] {
        let all = repeated(1000, after);
        let mut rivven = all.clone();
        rivven.remove(950);
        let found = place(&all[950..], &rivven, 50, 1);
        assert_eq!(found, 949, "{after}");
        assert_ne!(rivven[found as usize], all[950]);
        let mut rivven = all.clone();
        rivven.remove(998);
        let found = place(&all[998..], &rivven, 2, 1);
        assert_ne!(rivven[found as usize], all[998]);
    }
}

#[test]
fn a_difference_behind_the_range_does_not_move_it() {
    let all = repeated(1000, 700);
    for lost in [920, 925, 950, 999] {
        let mut rivven = all.clone();
        rivven.remove(lost);
        assert_eq!(place(&all[910..], &rivven, 90, 10), 910, "{lost}");
        rivven = all.clone();
        rivven.insert(lost, all[lost - 1]);
        assert_eq!(place(&all[910..], &rivven, 90, 10), 910, "{lost}");
    }
}

#[test]
fn values_that_repeat_do_not_stand_for_others() {
    for after in [1, 2, 7, 20] {
        let mut rivven = repeated(1500, after);
        let kafka = rivven[1003..].to_vec();
        rivven[1003] = 99;
        assert_eq!(place(&kafka, &rivven, kafka.len(), 1), 1003, "{after}");
    }
    let mut all = vec![0; 1000];
    all[970..].fill(1);
    let mut rivven = all.clone();
    rivven[950] = 2;
    assert_eq!(place(&all[950..], &rivven, 50, 1), 950);
}

#[test]
fn what_is_not_there_belongs_behind_the_end() {
    let all = repeated(900, 900);
    assert_eq!(place(&all[500..], &all[..300], 0, 400), 300);
    assert_eq!(place(&all[500..], &all[..300], 400, 400), 300);
    assert_eq!(place(&all[299..300], &[299; 10], 0, 1), 10, "equal by chance");
}

/// Numbers of few kinds, without a pattern.
fn kinds(count: usize, of: u64) -> Vec<u128> {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u128::from((state >> 33) % of)
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn few_committed_records_of_few_kinds_are_found_while_the_source_lags() {
    for of in [2, 3, 5] {
        for committed in [0, 1, 4, 20, 100, 200, 300] {
            for lag in [0, 20, 300, 1000] {
                let all = kinds(1500 + committed + lag, of);
                let (kafka, end) = (&all[1500..], 1500 + committed);
                for beyond in [0, lag.min(5)] {
                    let rivven = &all[..end + beyond];
                    let found = place(kafka, rivven, committed, committed) as usize;
                    let equal = kafka.starts_with(&rivven[found..]) && rivven.len() - found >= committed;
                    assert!(equal, "{of} kinds, {committed} committed, {lag} more, {beyond} beyond: {found}");
                }
            }
        }
    }
}

#[test]
fn a_place_that_leaves_too_few_records_is_not_one_of_a_healthy_log() {
    let all = repeated(6000, 700);
    for beyond in [0, 500, 669, 680, 699] {
        assert_eq!(place(&all[1000..], &all[..3000 + beyond], 2000, 2000), 1000, "{beyond}");
    }
}

#[test]
fn no_more_is_taken_than_is_looked_for() {
    let mut rest = Rest::default();
    for number in 0..MOST_UNCOMMITTED + 10 {
        assert_eq!(rest.enough(), number >= MOST_UNCOMMITTED + 5);
        rest.add(0, false, number < 5);
    }
}
