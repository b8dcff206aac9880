//! What is said of the objects, in the words of each service.

use object_store::{Attribute, Attributes, HeaderMap, HeaderValue};
use reqwest::header::HeaderName;

use super::{Options, Service};
use crate::destination::{Error, Kind, content_type};

/// What goes with every object.
#[derive(Clone, Debug, Default)]
pub(super) struct Described {
    /// What all services have, under names of their own.
    attributes: Attributes,
    /// What only this one has.
    pub headers: HeaderMap,
}

impl Described {
    /// # Errors
    /// If a header cannot be one.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let mut described = Self::default();
        let (class, acl) = match &options.service {
            Service::S3(s3) => (&s3.storage_class, s3.acl.as_deref().map(|acl| ("x-amz-acl", acl))),
            Service::Gcs(gcs) => (&gcs.storage_class, gcs.acl.as_deref().map(|acl| ("x-goog-acl", acl))),
            Service::Azure(azure) => (&azure.access_tier, None),
        };
        if let Some(class) = class {
            described.attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        let extra = options.headers.extra.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in acl.into_iter().chain(extra) {
            described.add(options, name, value)?;
        }
        Ok(described)
    }

    fn add(&mut self, options: &Options, name: &str, value: &str) -> Result<(), Error> {
        let invalid = |why: &str| {
            let what = format!("set the header {name} on objects in {}", options.url());
            Error::new(Kind::Invalid, what, why.to_owned().into())
        };
        let header = HeaderName::try_from(name).map_err(|_| invalid("that is no name of a header"))?;
        let mut content =
            HeaderValue::try_from(value).map_err(|_| invalid("no header can have this value"))?;
        if let Some(attribute) = attribute(header.as_str()) {
            self.attributes.insert(attribute, value.to_owned().into());
            return Ok(());
        }
        if signs_afterwards(options, header.as_str()) {
            return Err(invalid("with an account's key Azure takes no such header: use a token (SAS)"));
        }
        content.set_sensitive(true);
        self.headers.insert(header, content);
        Ok(())
    }

    /// What is said of the object at `key`.
    pub fn of(&self, options: &Options, key: &str) -> Attributes {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, content_type(key).into());
        attributes.insert(Attribute::CacheControl, options.headers.cache_control(key).to_owned().into());
        for (attribute, value) in &self.attributes {
            attributes.insert(attribute.clone(), value.clone());
        }
        attributes
    }
}

/// The header of this name, where all services have it.
fn attribute(name: &str) -> Option<Attribute> {
    let metadata = || ["x-amz-meta-", "x-goog-meta-", "x-ms-meta-"].iter().find_map(|p| name.strip_prefix(p));
    match name {
        "content-type" => Some(Attribute::ContentType),
        "cache-control" => Some(Attribute::CacheControl),
        "content-encoding" => Some(Attribute::ContentEncoding),
        "content-language" => Some(Attribute::ContentLanguage),
        "content-disposition" => Some(Attribute::ContentDisposition),
        _ => metadata().map(|name| Attribute::Metadata(name.to_owned().into())),
    }
}

/// Whether Azure's signature with a key covers the header, which is set when that is done.
fn signs_afterwards(options: &Options, name: &str) -> bool {
    matches!(&options.service, Service::Azure(azure) if azure.access_key.is_some())
        && name.starts_with("x-ms-")
}
