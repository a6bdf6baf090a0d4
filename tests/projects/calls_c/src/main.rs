//! A program whose work is done in C.

extern "C" {
    fn report(into: *mut u8, size: usize, values: *mut f64, count: usize) -> i32;
}

fn main() {
    let mut values = [9.0, 4.0, 1.0];
    let mut line = [0u8; 64];
    let size = unsafe { report(line.as_mut_ptr(), line.len(), values.as_mut_ptr(), values.len()) };
    let line = std::str::from_utf8(&line[..size as usize]).unwrap();
    assert_eq!(line, format!("{} 8.000", std::env::consts::ARCH));
    println!("{line}");
}
