//! Listings: order, pages, groups, versions.

use flagbase_core::buckets::Listed;

use super::{
    DocumentId, Listing, Object, Piece, Position, Stores, hide, made, marker, note, object, remove, usage,
    version,
};
use crate::{Memory, SeededRandom};

/// All pages of a listing, one after another: objects with their versions, groups, and which are the newest.
async fn pages(stores: &Stores, bucket: &DocumentId, listing: &Listing) -> Vec<String> {
    let (mut told, mut listing) = (Vec::new(), listing.clone());
    loop {
        let Listed { objects, prefixes, next } = stores.objects.list(bucket, &listing).await.unwrap();
        assert!(objects.len() + prefixes.len() <= listing.limit as usize, "no page is longer");
        let one = |object: Object| {
            let Object { key, version, latest, .. } = object;
            format!("{key}|{version}{}", if latest { "|latest" } else { "" })
        };
        let mut page: Vec<_> = objects.into_iter().map(one).chain(prefixes).collect();
        page.sort_by(|a, b| a.split('|').next().cmp(&b.split('|').next()));
        told.extend(page);
        match next {
            Some(next) => listing.after = Some(next),
            None => return told,
        }
    }
}

/// Keys and groups of one page.
async fn keys(stores: &Stores, bucket: &DocumentId, listing: Listing) -> String {
    let listed = stores.objects.list(bucket, &listing).await.unwrap();
    let keys: Vec<_> = listed.objects.into_iter().map(|object| object.key).collect();
    let more = if listed.next.is_some() { " …" } else { "" };
    format!("{} ({}){more}", keys.join(" "), listed.prefixes.join(" "))
}

fn listing(prefix: &str, after: Option<&str>, limit: u32) -> Listing {
    Listing { prefix: prefix.into(), after: after.map(Position::after), limit, ..Listing::default() }
}

pub async fn objects_come_in_the_order_of_their_keys_by_prefix_and_in_pages(stores: &Stores) {
    let (bucket, other) = (made(stores, "b").await, made(stores, "other").await);
    for key in ["b", "img/2", "img/10", "img", "ä", "img0"] {
        note(stores, &bucket, object(key, 1)).await;
    }
    note(stores, &other, object("img/elsewhere", 1)).await;
    let told = |prefix, after, limit| keys(stores, &bucket, listing(prefix, after, limit));
    assert_eq!(told("", None, 99).await, "b img img/10 img/2 img0 ä ()");
    assert_eq!(told("img/", None, 99).await, "img/10 img/2 ()");
    assert_eq!(told("img/", Some("img/10"), 99).await, "img/2 ()");
    assert_eq!(told("", Some("img"), 2).await, "img/10 img/2 () …");
    assert_eq!(told("", Some("img0"), 1).await, "ä ()", "the last page says that it is the last");
    assert_eq!(told("img/", Some("a"), 99).await, "img/10 img/2 ()", "a place before the prefix");
    assert_eq!(told("img/", Some("z"), 99).await, " ()");
    assert_eq!(told("", None, 0).await, " ()");
}

pub async fn versions_come_newest_first_and_in_pages(stores: &Stores) {
    let bucket = made(stores, "b").await;
    for (key, name) in [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1"), ("a", "3")] {
        note(stores, &bucket, version(key, name, 1)).await;
    }
    hide(stores, &bucket, marker("b", "2")).await;
    let all = ["a|3|latest", "a|2", "a|1", "b|2|latest", "b|1", "c|1|latest"];
    for limit in 1..8 {
        let listing = Listing { versions: true, limit, ..Listing::default() };
        assert_eq!(pages(stores, &bucket, &listing).await, all, "pages of {limit}");
    }
    let plain = Listing { limit: 1, ..Listing::default() };
    assert_eq!(
        pages(stores, &bucket, &plain).await,
        ["a|3|latest", "c|1|latest"],
        "what is hidden is not told"
    );
    let after = Some(Position { key: "a".into(), version: "2".into() });
    let said = Listing { versions: true, limit: 9, after, ..Listing::default() };
    assert_eq!(pages(stores, &bucket, &said).await, all[2..], "a plain version is understood");
}

pub async fn groups_are_told_once_and_passed(stores: &Stores) {
    let bucket = made(stores, "b").await;
    for key in ["a", "a/", "a/1", "a/2/x", "a0", "b/1", "b/2", "c//d", "c//e", "d"] {
        note(stores, &bucket, object(key, 1)).await;
    }
    let by = |prefix: &str, delimiter: &str, after: Option<&str>, limit| Listing {
        delimiter: Some(delimiter.into()),
        ..listing(prefix, after, limit)
    };
    let told = |listing| keys(stores, &bucket, listing);
    assert_eq!(told(by("", "/", None, 99)).await, "a a0 d (a/ b/ c/)");
    assert_eq!(told(by("a/", "/", None, 99)).await, "a/ a/1 (a/2/)");
    assert_eq!(told(by("c/", "/", None, 99)).await, " (c//)");
    assert_eq!(told(by("", "/", Some("a/"), 2)).await, "a0 (b/) …", "a group is passed as a whole");
    assert_eq!(told(by("", "/", Some("a/1"), 2)).await, "a0 (b/) …", "also from within");
    assert_eq!(told(by("", "", None, 2)).await, "a a/ () …", "an empty one is none");
    assert_eq!(told(by("", "/1", None, 99)).await, "a a/ a/2/x a0 b/2 c//d c//e d (a/1 b/1)");
    for limit in 1..8 {
        let all = pages(stores, &bucket, &by("", "/", None, limit)).await;
        let expected = ["a|null|latest", "a/", "a0|null|latest", "b/", "c/", "d|null|latest"];
        assert_eq!(all, expected, "pages of {limit}");
    }
}

pub async fn a_page_goes_on_where_a_version_was_removed(stores: &Stores) {
    let bucket = made(stores, "b").await;
    for name in ["1", "2", "3", "4"] {
        note(stores, &bucket, version("a", name, 1)).await;
    }
    note(stores, &bucket, version("b", "1", 1)).await;
    let mut listing = Listing { versions: true, limit: 1, ..Listing::default() };
    let mut seen = Vec::new();
    loop {
        let listed = stores.objects.list(&bucket, &listing).await.unwrap();
        for object in listed.objects {
            remove(stores, &bucket, &object.key, &object.version).await;
            seen.push(format!("{}|{}", object.key, object.version));
        }
        let Some(next) = listed.next else { break };
        listing.after = Some(next);
    }
    assert_eq!(seen[0], "a|4");
    assert_eq!(seen.last().unwrap(), "b|1", "nothing keeps the listing from its end");
}

/// Random buckets, each in the store that is tested and in memory, whose listing is as plain as can be.
pub async fn every_listing_is_that_of_the_naive_one(stores: &Stores) {
    let random = SeededRandom::new(11);
    let below = |most: u64| usize::try_from(random.below(most)).unwrap();
    let plain = Stores::of(Memory::new(), ());
    let letters = ["a", "b", "/", "//", "ä", "\u{10ffff}", "\u{d7ff}", "A", " ", "%", "\u{1}", "."];
    let word = |most: u64| (0..below(most)).map(|_| letters[below(letters.len() as u64)]).collect::<String>();
    for round in 0..6 {
        let name = format!("b{round}");
        let (tested, model) = (made(stores, &name).await, made(&plain, &name).await);
        for number in 0..60 {
            let key = format!("a{}", word(5));
            let one = match below(5) {
                0 => marker(&key, &number.to_string()),
                1 => object(&key, number),
                _ => version(&key, &number.to_string(), number),
            };
            // The name of a blob is its own, whatever the key.
            let pieces =
                one.pieces.iter().map(|piece| Piece { blob: format!("{round}-{number}"), ..piece.clone() });
            let one = Object { pieces: pieces.collect(), ..one };
            for (place, bucket) in [(stores, &tested), (&plain, &model)] {
                if one.marker {
                    hide(place, bucket, one.clone()).await
                } else {
                    note(place, bucket, one.clone()).await
                };
            }
        }
        assert_eq!(usage(stores, &tested).await, usage(&plain, &model).await);
        for _ in 0..60 {
            let listing = Listing {
                prefix: if below(3) == 0 { String::new() } else { format!("a{}", word(3)) },
                delimiter: [None, Some("/"), Some("ä"), Some("//"), Some("\u{10ffff}")][below(5)]
                    .map(str::to_owned),
                after: (below(3) == 0).then(|| Position::after(format!("a{}", word(4)))),
                versions: below(2) == 0,
                limit: 1 + u32::try_from(below(7)).unwrap(),
            };
            let expected = pages(&plain, &model, &listing).await;
            assert_eq!(pages(stores, &tested, &listing).await, expected, "{listing:?}");
        }
    }
}
