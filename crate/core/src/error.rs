/// A parameter that makes no sense, in words for the caller.
#[derive(Debug)]
pub struct Invalid(pub String);
