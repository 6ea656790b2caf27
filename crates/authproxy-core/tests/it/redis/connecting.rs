//! Ways to a server, and what an operator is told when one does not lead there.

use authproxy_core::{
    SessionStore,
    store::{ConnectProblem, Envelope, InvalidRedisTls, RedisStore, RedisTls},
};
use authproxy_testing::redis::{RedisCluster, RedisSentinel, RedisServer, RedisTlsFiles, ask_until};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::{envelope, open, refresh, store, unconnected};

async fn works(store: &RedisStore) {
    store.ready().await.unwrap();
    let key = open(store).await;
    refresh(store, &key).await;
    assert!(store.remove(&key).await.unwrap().is_some());
}

async fn problem(url: &str) -> ConnectProblem {
    unconnected(url).ready().await.unwrap_err().problem().clone()
}

/// Why a URL leads to no server; asks again where the machine was too busy to find out.
async fn verdict(url: &str) -> ConnectProblem {
    ask_until("a verdict", async || {
        let problem = problem(url).await;
        (problem != ConnectProblem::TimedOut).then_some(problem)
    })
    .await
}

#[tokio::test]
async fn every_way_to_a_server_works() {
    let named = RedisServer::options().user("some:one").password("p@ss/word").start().await;
    let (_, port) = named.address().rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
    works(&unconnected(&format!("redis://some%3Aone:p%40ss%2Fword@localhost:{port}"))).await;
    let password = RedisServer::options().password("word").start().await;
    works(&unconnected(&password.url())).await;
    works(&unconnected(&format!("{}/5", password.url()))).await;
    let socket = RedisServer::options().unix_socket().password("word").start().await;
    works(&unconnected(&socket.url())).await;
    works(&unconnected(&format!("{}&db=3", socket.url().replace("user=&", "")))).await;
}

#[tokio::test]
async fn what_does_not_lead_to_a_server_is_said() {
    let server = RedisServer::options().password("word").start().await;
    assert_eq!(verdict(&format!("redis://{}", server.address())).await, ConnectProblem::Credentials);
    let error = unconnected(&format!("redis://:cAnArY@{}", server.address())).ready().await.unwrap_err();
    assert_eq!(*error.problem(), ConnectProblem::Credentials);
    let told = format!("{error} {error:?}");
    assert!(told.contains(&server.address()) && !told.contains("cAnArY"), "{told}");
    assert_eq!(verdict(&format!("{}/99", server.url())).await, ConnectProblem::NoSuchDatabase);
    assert_eq!(verdict("redis://127.0.0.1:1").await, ConnectProblem::Refused);
    assert_eq!(verdict("redis+unix:///no/such/socket").await, ConnectProblem::Refused);
    assert_eq!(verdict("redis://no-such-host.invalid").await, ConnectProblem::UnknownHost);
    assert_eq!(verdict(&format!("redis-cluster://:word@{}", server.address())).await, ConnectProblem::NotACluster);
    assert!(matches!(verdict(&format!("rediss://{}", server.address())).await, ConnectProblem::Tls(_)));
}

#[tokio::test]
async fn whoever_is_no_redis_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    assert_eq!(problem(&format!("redis://{address}")).await, ConnectProblem::NotRedis);
    serving.abort();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    assert_eq!(problem(&format!("redis://{address}")).await, ConnectProblem::TimedOut);
    assert_eq!(problem(&format!("redis-cluster://{address}")).await, ConnectProblem::TimedOut);
    assert_eq!(problem(&format!("redis-sentinel://{address}/main")).await, ConnectProblem::TimedOut);
}

#[tokio::test]
async fn a_layout_that_the_url_does_not_name_is_told_apart() {
    let cluster = RedisCluster::start(3, 1).await;
    let replica = cluster.replica_of(cluster.owner_of("k").await).await;
    assert_eq!(problem(&cluster.nodes[replica].url()).await, ConnectProblem::NotPrimary);
    let primary = cluster.owner_of("k").await;
    // A key of its own slots would be answered, so it takes a store's own keys to find out.
    let alone = unconnected(&cluster.nodes[primary].url());
    let mut told = alone.ready().await.map_err(|error| error.problem().clone());
    for node in &cluster.nodes {
        if told.is_ok() {
            told = unconnected(&node.url()).ready().await.map_err(|error| error.problem().clone());
        }
    }
    assert!(matches!(told, Err(ConnectProblem::ACluster | ConnectProblem::NotPrimary)), "{told:?}");
    // One replica is enough to find the way.
    works(&unconnected(&format!("redis-cluster://{}", cluster.nodes[replica].address()))).await;
}

#[tokio::test]
async fn a_primary_that_no_sentinel_knows_is_said() {
    let watched = RedisSentinel::start().await;
    let url = watched.url();
    let other = url.strip_suffix("main").unwrap();
    assert_eq!(problem(&format!("{other}other")).await, ConnectProblem::NoSuchMaster);
    let mut hosts: Vec<&str> = url.split("://").nth(1).unwrap().split('/').next().unwrap().split(',').collect();
    hosts.insert(0, "127.0.0.1:1");
    works(&unconnected(&format!("redis-sentinel://{}/main", hosts.join(",")))).await;
}

#[tokio::test]
async fn tls_works_with_an_own_authority_and_a_clients_certificate_and_not_without() {
    let server = RedisServer::options().tls().password("word").start().await;
    let files = server.tls_files();
    let read = RedisTlsFiles::read;
    let trusting = || RedisTls::default().authority(&read(&files.ca)).unwrap();
    let with = |tls: RedisTls| RedisStore::builder(&server.url(), envelope()).unwrap().tls(tls).build().unwrap();
    works(&with(trusting().client(&read(&files.client_certificate), &read(&files.client_key)).unwrap())).await;
    for tls in
        [trusting(), RedisTls::default().client(&read(&files.client_certificate), &read(&files.client_key)).unwrap()]
    {
        let store = with(tls);
        let error = store.ready().await.unwrap_err();
        assert!(matches!(error.problem(), ConnectProblem::Tls(_) | ConnectProblem::NotRedis), "{error}");
    }
    let plain = problem(&format!("redis://:word@{}", server.address())).await;
    assert_eq!(plain, ConnectProblem::NotRedis);
}

/// The way to a primary leads through others here, who ask for the same password and certificate.
#[tokio::test]
async fn tls_and_a_password_work_in_a_cluster_and_through_sentinels() {
    let options = RedisServer::options().tls().password("word");
    let with = |url: &str, files: &RedisTlsFiles| {
        let read = RedisTlsFiles::read;
        let tls = RedisTls::default().authority(&read(&files.ca)).unwrap();
        let tls = tls.client(&read(&files.client_certificate), &read(&files.client_key)).unwrap();
        RedisStore::builder(url, envelope()).unwrap().tls(tls).build().unwrap()
    };
    let watched = RedisSentinel::start_with(options.clone()).await;
    let files = watched.nodes[0].tls_files();
    works(&with(&watched.url(), files)).await;
    works(&with(&format!("{}/5", watched.url()), files)).await;
    let wrong = watched.url().replace(":word@", ":another@");
    assert_eq!(*with(&wrong, files).ready().await.unwrap_err().problem(), ConnectProblem::Credentials);
    let cluster = RedisCluster::start_with(options, 3, 0).await;
    let store = with(&cluster.url(), cluster.nodes[0].tls_files());
    for _ in 0..20 {
        works(&store).await;
    }
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_refused_when_the_store_is_made() {
    assert_eq!(RedisTls::default().authority("nonsense").unwrap_err(), InvalidRedisTls::Authority);
    assert_eq!(RedisTls::default().client("nonsense", "nonsense").unwrap_err(), InvalidRedisTls::Client);
    let envelope = Envelope::new([super::SECRET]).unwrap();
    let builder = RedisStore::builder("redis://localhost", envelope).unwrap();
    assert_eq!(builder.tls(RedisTls::default()).build().unwrap_err(), InvalidRedisTls::NotAsked);
}

#[tokio::test]
async fn a_store_that_is_made_before_its_server_finds_it_when_it_comes() {
    let mut server = RedisServer::start().await;
    server.kill();
    let waiting = unconnected(&server.url());
    assert!(waiting.ready().await.is_err());
    server.restart().await;
    authproxy_testing::redis::ask_until("the server to be found", async || waiting.ready().await.ok()).await;
    works(&*store(&server.url()).await).await;
}

/// Whoever uses a store first may be gone soon; its connections are not theirs.
#[test]
fn a_callers_runtime_may_end_while_the_stores_lives() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (own, callers) = (runtime(), runtime());
    let server = own.block_on(RedisServer::start());
    let store = own.block_on(async { unconnected(&server.url()) });
    let key = callers.block_on(open(&store));
    drop(callers);
    let others = runtime();
    others.block_on(refresh(&store, &key));
}
