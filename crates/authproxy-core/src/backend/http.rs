//! skeleton
/// skeleton
#[derive(Debug)]
pub struct HttpBackend;
/// skeleton
#[derive(Debug)]
pub struct HttpBackendBuilder;
/// skeleton
#[derive(Debug)]
pub struct InvalidAuthUrl;
