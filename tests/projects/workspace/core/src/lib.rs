/// What the member is for.
pub fn answer() -> i64 {
    42
}
