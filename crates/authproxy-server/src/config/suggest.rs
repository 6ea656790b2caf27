//! "Did you mean": the known name that is nearest to an unknown one.

/// Longer names are not compared: the cost grows with the square.
const LONGEST: usize = 64;

/// The candidate that `name` was probably meant to be: few letters away, or the same word in another group.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    if name.chars().count() > LONGEST {
        return None;
    }
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let within = 1 + name.chars().count() / 4;
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let letters = distance(&name, candidate);
            let same_word = last(&name) == last(candidate);
            (letters <= within || same_word).then_some((letters, candidate))
        })
        .min_by_key(|(letters, _)| *letters)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be inserted, deleted or replaced to make `b` of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_key() {
        let keys = ["listen", "auth_url", "tokens.access_ttl", "tokens.refresh_ttl", "backend.timeout", "route"];
        for (slip, key) in [
            ("lisen", Some("listen")),
            ("Listen", Some("listen")),
            ("authurl", Some("auth_url")),
            ("token.access_ttl", Some("tokens.access_ttl")),
            ("tokens_refresh_ttl", Some("tokens.refresh_ttl")),
            ("access_ttl", Some("tokens.access_ttl")),
            ("routes", Some("route")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(slip, keys), key, "{slip}");
        }
        assert_eq!(nearest(&"a".repeat(1_000_000), keys), None);
    }

    #[test]
    fn distance_counts_letters() {
        for (a, b, letters) in [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(a, b), letters, "{a} {b}");
        }
    }
}
