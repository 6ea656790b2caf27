//! Where the lines that `dev` prints keep their cookie.

use std::{
    env, fmt, fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// A cookie jar in a folder that only this user can enter and only this process names. Gone when it is dropped.
#[derive(Debug)]
pub(super) struct Jar {
    folder: Option<PathBuf>,
}

impl Jar {
    /// Makes the folder among the system's temporary files. Where that is not possible, the jar is in whatever folder
    /// the lines are pasted in.
    pub(super) fn new() -> Self {
        Self::below(&env::temp_dir())
    }

    fn below(parent: &Path) -> Self {
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes).expect("the operating system gives randomness");
        let folder = parent.join(format!("authproxy-dev-{:08x}", u32::from_le_bytes(bytes)));
        // A folder that is there already may be anyone's, and a path that a shell would take apart cannot be pasted.
        let made = is_one_word(&folder) && fs::DirBuilder::new().mode(0o700).create(&folder).is_ok();
        Self { folder: made.then_some(folder) }
    }
}

impl fmt::Display for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.folder {
            Some(folder) => write!(f, "{}/jar", folder.display()),
            None => f.write_str("authproxy.jar"),
        }
    }
}

impl Drop for Jar {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir_all(folder); // its session has ended with this process
        }
    }
}

/// Whether a shell reads the path as it stands.
fn is_one_word(path: &Path) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    path.to_str().is_some_and(|text| text.starts_with('/') && text.bytes().all(is_plain))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn two_jars_are_apart_and_only_their_users_can_reach_them() {
        let (one, other) = (Jar::new(), Jar::new());
        assert_ne!(one.to_string(), other.to_string());
        let path = PathBuf::from(one.to_string());
        let folder = path.parent().expect("a folder").to_owned();
        let mode = fs::metadata(&folder).expect("it was made").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::write(&path, "cookie").expect("the folder is ours");
        drop(one);
        assert!(!folder.exists(), "nothing is left behind");
        assert!(other.folder.as_ref().is_some_and(|folder| folder.exists()), "the other one is still there");
    }

    #[test]
    fn where_no_folder_can_be_made_the_jar_is_where_the_lines_are_pasted() {
        for parent in ["/nonexistent", "/tmp/with space", "/tmp/$(id)", "relative"] {
            assert_eq!(Jar::below(Path::new(parent)).to_string(), "authproxy.jar", "{parent}");
        }
    }
}
