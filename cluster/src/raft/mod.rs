//! Between openraft and the network.

mod convert;

pub use self::convert::ConvertError;
