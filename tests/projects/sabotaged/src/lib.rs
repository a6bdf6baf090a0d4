//! An extension module without a function, by Python's C API as it is.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::{addr_of_mut, null, null_mut};

#[cfg(does_not_compile)]
const NUMBER: u32 = "no number";

/// `PyModuleDef_Base`
#[repr(C)]
struct Base {
    object: [usize; 2],
    init: *const c_void,
    index: isize,
    copy: *const c_void,
}

/// `PyModuleDef`
#[repr(C)]
struct Module {
    base: Base,
    name: *const c_char,
    doc: *const c_char,
    size: isize,
    rest: [*const c_void; 5],
}

extern "C" {
    fn PyModule_Create2(module: *mut Module, version: c_int) -> *mut c_void;
}

static mut MODULE: Module = Module {
    base: Base { object: [1, 0], init: null(), index: 0, copy: null() },
    name: c"sabotaged".as_ptr(),
    // Each round's wheels differ, so that an older one is known.
    doc: concat!(env!("ROUND"), "\0").as_ptr().cast(),
    size: 0,
    rest: [null(); 5],
};

/// # Safety
///
/// Python's import system calls it, with the GIL.
#[no_mangle]
pub unsafe extern "C" fn PyInit_sabotaged() -> *mut c_void {
    if cfg!(fails_to_import) {
        return null_mut();
    }
    PyModule_Create2(addr_of_mut!(MODULE), 1013)
}
