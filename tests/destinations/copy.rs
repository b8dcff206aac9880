//! A local folder.

use segcast::destination::{Target, copy};

use crate::conformance::{View, conforms};

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("live");
    conforms(&Target::Copy(copy::Options::new(&directory)), &View::of_folder(&directory)).await;
}
