//! SWE-bench's own rules: what an instance's environment holds, how its tests are run, and
//! what their log says. All of it comes from the package `swebench`; what has to be adapted to
//! an environment without conda, root and a network stands in `adaptions.toml`.
mod grader;
mod instance;
mod package;

pub use grader::SwebenchGrader;
pub use instance::InstancePlace;
pub use package::{Graded, InstanceSpec, SwebenchPackage};
