//! What a server tells of itself that matters to a session store.

use super::connect_error::ConnectProblem;

/// The first version with everything that is used here: scripts with flags, channels per slot.
const OLDEST_MAJOR: u32 = 7;

/// Reads the answer to INFO. A server that may throw sessions away is told of in the log: it works until it is full.
pub(super) fn vet(info: &str, as_cluster: bool) -> Result<(), ConnectProblem> {
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(str::trim)
    };
    if let Some(version) = field("redis_version") {
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_some_and(|major| major < OLDEST_MAJOR) {
            return Err(ConnectProblem::TooOld(version.to_owned()));
        }
    }
    match (field("cluster_enabled"), as_cluster) {
        (Some("1"), false) => return Err(ConnectProblem::ACluster),
        (Some("0"), true) => return Err(ConnectProblem::NotACluster),
        _ => {}
    }
    let evicts = field("maxmemory_policy").filter(|policy| *policy != "noeviction");
    if let Some(policy) = evicts
        && field("maxmemory").is_some_and(|limit| limit != "0")
    {
        tracing::warn!(policy, "Redis drops sessions when its memory is full; set maxmemory-policy to noeviction");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_told_apart() {
        assert_eq!(vet("# Server\r\nredis_version:7.0.15\r\ncluster_enabled:0\r\n", false), Ok(()));
        assert_eq!(vet("redis_version:10.1.0\r\ncluster_enabled:1\r\nmaxmemory:0\r\n", true), Ok(()));
        assert_eq!(vet("redis_version:6.2.14\r\n", false), Err(ConnectProblem::TooOld("6.2.14".to_owned())));
        assert_eq!(vet("cluster_enabled:1", false), Err(ConnectProblem::ACluster));
        assert_eq!(vet("cluster_enabled:0", true), Err(ConnectProblem::NotACluster));
        assert_eq!(vet("whatever", false), Ok(()), "a proxy may hide everything");
    }
}
