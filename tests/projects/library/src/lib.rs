//! A C library.

#[no_mangle]
pub extern "C" fn library_answer() -> i32 {
    42
}
