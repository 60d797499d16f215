use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Takes until there is no room.
fn fill(layout: &mut Layout, length: usize, rank: Rank) -> Vec<usize> {
    std::iter::from_fn(|| layout.take(length, rank)).collect()
}

#[test]
fn sizes_go_up_by_a_quarter_of_a_power_of_two() {
    assert_eq!(SIZES[..6], [32, 40, 48, 56, 64, 80]);
    assert_eq!(LARGEST, 16 * 1024);
    assert!(SIZES.iter().all(|size| size % 8 == 0));
}

#[test]
fn s59_tokens_leave_a_quarter_of_the_runs_to_credentials() {
    for (runs, length) in [(4, 100), (4, 30_000), (16, 1_200), (1024, 17_000), (5, 16_000)] {
        let mut layout = Layout::new(runs);
        let tokens = fill(&mut layout, length, Rank::Yielding);
        assert!(!tokens.is_empty());
        assert_eq!(layout.left, runs.div_ceil(4), "{runs} runs of {length}");
        let keys = fill(&mut layout, 2_000, Rank::Credential);
        assert!(keys.len() >= runs.div_ceil(4) * 25, "{} keys in {runs} runs", keys.len());
        // Nor do they come in where a credential was.
        layout.give_back(keys[0], 2_000);
        assert_eq!(layout.take(2_000, Rank::Yielding), None);
        assert!(layout.take(2_000, Rank::Credential).is_some());
    }
}

/// Counted in bytes, the few that are left of the old length would take the room of credentials.
#[test]
fn s59_the_quarter_is_left_when_all_tokens_change_their_length() {
    let mut layout = Layout::new(16);
    let old = fill(&mut layout, 1_000, Rank::Yielding);
    // One of each run stays.
    let mut stays = BTreeMap::new();
    for place in old {
        match stays.entry(place / RUN) {
            std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(place)),
            std::collections::btree_map::Entry::Occupied(_) => layout.give_back(place, 1_000),
        }
    }
    assert_eq!(layout.take(1_300, Rank::Yielding), None, "no run of that size can be opened");
    assert!(layout.take(900, Rank::Yielding).is_some(), "but what is smaller finds room in theirs");
    assert_eq!(layout.left, 4);
    assert!(fill(&mut layout, 64, Rank::Credential).len() >= 4 * 1_024);
}

#[test]
fn s59_where_no_run_is_free_a_larger_block_is_taken() {
    let mut layout = Layout::new(4);
    let large = fill(&mut layout, 2_000, Rank::Credential);
    assert_eq!(layout.take(40, Rank::Credential), None);
    layout.give_back(large[5], 2_000);
    assert_eq!(layout.take(40, Rank::Credential), Some(large[5]));
    layout.give_back(large[5], 40);
    assert_eq!(layout.take(2_000, Rank::Credential), Some(large[5]));
}

#[test]
fn a_run_that_is_empty_is_there_for_every_size() {
    let mut layout = Layout::new(4);
    for length in [32, 16_384, 65_536, 4 * 65_536, 1] {
        let all = fill(&mut layout, length, Rank::Credential);
        assert_eq!(layout.left, 0, "{length}");
        for place in all {
            layout.give_back(place, length);
        }
        assert_eq!((layout.left, layout.held()), (4, 0));
    }
    assert_eq!(layout.take(4 * RUN + 1, Rank::Credential), None);
}

proptest! {
    #[test]
    fn places_never_overlap_and_lie_in_the_slab(
        runs in 1_usize..40,
        steps in prop::collection::vec(
            (any::<bool>(), any::<bool>(), prop_oneof![1_usize..200, 1_usize..20_000, 1_usize..200_000],
             any::<prop::sample::Index>()),
            1..400,
        ),
    ) {
        let mut layout = Layout::new(runs);
        let mut taken = BTreeMap::new();
        for (gives_back, yields, length, which) in steps {
            if gives_back && !taken.is_empty() {
                let place = *taken.keys().nth(which.index(taken.len())).unwrap();
                layout.give_back(place, taken.remove(&place).unwrap());
            } else {
                let rank = if yields { Rank::Yielding } else { Rank::Credential };
                let Some(place) = layout.take(length, rank) else { continue };
                prop_assert!(place + length <= runs * RUN);
                prop_assert_eq!(place % 8, 0);
                let before = taken.range(..place).next_back();
                prop_assert!(before.is_none_or(|(start, length)| start + length <= place));
                let after = taken.range(place..).next();
                prop_assert!(after.is_none_or(|(start, _)| place + length <= *start));
                taken.insert(place, length);
            }
            prop_assert_eq!(layout.held(), taken.values().sum::<usize>());
            let free = layout.runs.iter().filter(|run| matches!(run, Run::Free)).count();
            prop_assert_eq!(layout.left, free);
        }
        for (place, length) in taken {
            layout.give_back(place, length);
        }
        prop_assert_eq!(layout.left, runs);
        prop_assert!(layout.open.iter().all(|open| open.common.first().or(open.reserved.first()).is_none()));
    }

    /// Whatever credentials came and went: where tokens have taken all they may, a quarter is there for new credentials.
    #[test]
    fn s59_no_order_of_things_takes_the_quarter(
        steps in prop::collection::vec((any::<bool>(), any::<bool>(), 1_usize..40_000, any::<prop::sample::Index>()), 1..300),
    ) {
        let mut layout = Layout::new(12);
        let (mut tokens, mut credentials) = (Vec::new(), Vec::new());
        for (gives_back, is_token, length, which) in steps {
            let (own, rank) = match is_token {
                true => (&mut tokens, Rank::Yielding),
                false => (&mut credentials, Rank::Credential),
            };
            if gives_back && !own.is_empty() {
                let (place, length) = own.swap_remove(which.index(own.len()));
                layout.give_back(place, length);
            } else {
                own.extend(layout.take(length, rank).map(|place| (place, length)));
            }
        }
        for (place, length) in credentials {
            layout.give_back(place, length);
        }
        fill(&mut layout, 1_200, Rank::Yielding);
        prop_assert!(layout.left >= 3, "{} runs are left", layout.left);
    }
}
