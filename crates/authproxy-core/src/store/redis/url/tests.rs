#![allow(clippy::unwrap_used)]

use super::*;

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp { host: host.to_owned(), port }
}

#[test]
fn every_layout_is_read() {
    let layout = |url: &str| Target::parse(url).unwrap().layout;
    assert_eq!(layout("redis://localhost"), Layout::Single(tcp("localhost", 6379)));
    assert_eq!(layout("rediss://[::1]:7000/"), Layout::Single(tcp("::1", 7000)));
    assert_eq!(layout("redis+unix:///run/a%20b.sock?db=1"), Layout::Single(Address::Unix("/run/a b.sock".into())));
    assert_eq!(layout("redis-cluster://a:1,b:2,c"), Layout::Cluster(vec![tcp("a", 1), tcp("b", 2), tcp("c", 6379)]));
    let sentinels = vec![tcp("a", 26379), tcp("b", 2)];
    assert_eq!(layout("redis-sentinel://a,b:2/main"), Layout::Sentinels { sentinels, master: "main".into() });
}

#[test]
fn what_a_url_says_besides_the_host_is_read() {
    let target = Target::parse("rediss-sentinel://me:p%40ss@a/main/3").unwrap();
    assert_eq!((target.tls, target.database), (true, 3));
    assert_eq!(target.credentials.user.as_deref(), Some("me"));
    assert_eq!(target.credentials.password.as_deref(), Some("p@ss"));
    let target = Target::parse("redis://:word@a/7").unwrap();
    assert_eq!((target.credentials.user, target.credentials.password.as_deref()), (None, Some("word")));
    let target = Target::parse("unix:///s?user=me&pass=word&db=2").unwrap();
    assert_eq!((target.credentials.password.as_deref(), target.database), (Some("word"), 2));
}

#[test]
fn a_url_that_means_nothing_is_refused_for_what_is_wrong_with_it() {
    use InvalidRedisUrl as Wrong;
    for (url, wrong) in [
        ("", Wrong::Scheme),
        ("localhost:6379", Wrong::Scheme),
        ("http://localhost", Wrong::Scheme),
        ("redis://", Wrong::Host),
        ("redis://:6379", Wrong::Host),
        ("redis://a b", Wrong::Host),
        ("redis://a:b:c", Wrong::Port),
        ("redis://[::1", Wrong::Host),
        ("redis://[nonsense]:1", Wrong::Host),
        ("redis://a:0", Wrong::Port),
        ("redis://a:65536", Wrong::Port),
        ("redis://a,b", Wrong::SeveralHosts),
        ("redis://a/first", Wrong::Database),
        ("redis-cluster://a,b/1", Wrong::Database),
        ("redis-cluster://a,,b", Wrong::Host),
        ("redis-sentinel://a", Wrong::Master),
        ("redis-sentinel://a/", Wrong::Master),
        ("redis-sentinel://a/main/x", Wrong::Database),
        ("redis://user@a", Wrong::Credentials),
        ("redis://:%ff@a", Wrong::Credentials),
        ("redis://a?tls=1", Wrong::Rest),
        ("unix://relative", Wrong::Host),
        ("unix:///s?nonsense=1", Wrong::Rest),
    ] {
        assert_eq!(Target::parse(url).map(|_| ()).unwrap_err(), wrong, "{url}");
    }
}

#[test]
fn a_password_is_not_shown() {
    let target = Target::parse("redis://me:cAnArY@a").unwrap();
    assert!(!format!("{target:?}").contains("cAnArY"));
}
