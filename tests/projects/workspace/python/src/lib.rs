//! A module with one function, `member.answer()`, by the bare FFI: no macros, quick to compile.

use pyo3_ffi::*;
use std::ptr::{addr_of_mut, null_mut};

unsafe extern "C" fn answer(_module: *mut PyObject, _none: *mut PyObject) -> *mut PyObject {
    PyLong_FromLong(member_core::answer())
}

static mut METHODS: [PyMethodDef; 2] = [
    PyMethodDef {
        ml_name: c"answer".as_ptr(),
        ml_meth: PyMethodDefPointer { PyCFunction: answer },
        ml_flags: METH_NOARGS,
        ml_doc: c"The answer.".as_ptr(),
    },
    PyMethodDef::zeroed(),
];

static mut MODULE: PyModuleDef = PyModuleDef {
    m_base: PyModuleDef_HEAD_INIT,
    m_name: c"member".as_ptr(),
    m_doc: std::ptr::null(),
    m_size: 0,
    m_methods: addr_of_mut!(METHODS).cast(),
    m_slots: null_mut(),
    m_traverse: None,
    m_clear: None,
    m_free: None,
};

/// # Safety
///
/// Python's import system calls it, with the GIL.
#[no_mangle]
pub unsafe extern "C" fn PyInit_member() -> *mut PyObject {
    PyModule_Create(addr_of_mut!(MODULE))
}
