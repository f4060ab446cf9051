//! Lists of paths with a NUL behind each, as git reads and writes them by `-z`.

/// The paths of a list.
pub(super) fn split_nul(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&b| b == 0).filter(|path| !path.is_empty())
}

/// The list of some paths.
pub(super) fn join_nul<T: AsRef<[u8]>>(paths: &[T]) -> Vec<u8> {
    let mut joined = Vec::new();
    for path in paths {
        joined.extend_from_slice(path.as_ref());
        joined.push(0);
    }
    joined
}
