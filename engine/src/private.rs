//! Files and folders that only their user may read: answers of a model can be what nobody else should see.
//!
//! Where the system knows no permissions of this kind, what it gives its users is all there is.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a folder and those above it that are missing, readable by the user alone. A folder that exists stays as it is: whoever
/// made it chose who may read it.
///
/// # Errors
/// A folder cannot be made.
pub fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// Options under which a file that is created is readable by the user alone.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Takes a file from everybody but the user, where it was made under wider permissions. Done where that cannot be: the file may belong
/// to another user.
#[cfg(unix)]
pub fn close_to_others(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let open =
        std::fs::symlink_metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o077 != 0);
    if open {
        drop(std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)));
    }
}

/// There is nothing to take away.
#[cfg(not(unix))]
pub fn close_to_others(_file: &Path) {}
