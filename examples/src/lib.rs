//! Short programs that show authproxy at work; see the files beside this crate.
