//! Name servers, asked over UDP and TCP: those of the system, or one that is named.

use std::net::SocketAddr;

use async_trait::async_trait;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::{Resolver, TokioResolver};
use ports::{BoxError, Names, NamesError};

/// Which name servers are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Config {
    /// Those of `/etc/resolv.conf`, as it is at each question: it changes with the network.
    #[default]
    System,
    /// One at this address.
    At(SocketAddr),
}

/// Asks name servers anew each time: a proof that has just been set must be seen, and one that has gone must not.
#[derive(Debug)]
pub struct DnsNames(Config);

pub fn open(config: Config) -> DnsNames {
    DnsNames(config)
}

impl DnsNames {
    fn resolver(&self) -> Result<TokioResolver, BoxError> {
        let mut builder = match self.0 {
            Config::System => Resolver::builder_tokio()?,
            Config::At(address) => {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = address.port();
                    connection
                });
                let server = NameServerConfig::new(address.ip(), true, connections.into());
                let config = ResolverConfig::from_parts(None, vec![], vec![server]);
                Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        builder.options_mut().cache_size = 0;
        Ok(builder.build()?)
    }
}

#[async_trait]
impl Names for DnsNames {
    async fn texts(&self, name: &str) -> Result<Vec<Vec<u8>>, NamesError> {
        let resolver = self.resolver().map_err(NamesError::Unavailable)?;
        // With its dot it is a whole name: nothing of the system is put behind it.
        match resolver.txt_lookup(format!("{name}.")).await {
            Ok(found) => Ok(found.answers().iter().filter_map(|record| text_of(&record.data)).collect()),
            Err(error) if error.is_no_records_found() => Ok(vec![]),
            Err(error) => Err(NamesError::Unavailable(error.into())),
        }
    }
}

/// The pieces of a text are one (RFC 7208, 3.3).
fn text_of(data: &RData) -> Option<Vec<u8>> {
    match data {
        RData::TXT(text) => Some(text.txt_data.concat()),
        _ => None,
    }
}
