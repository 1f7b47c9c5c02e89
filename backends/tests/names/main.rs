//! Name servers over the network.

mod server;

use backends::names::{Config, open};
use ports::{Names, NamesError};

use server::NameServer;

#[tokio::test]
async fn texts_are_read_anew_each_time() {
    let server = NameServer::start();
    let names = open(Config::At(server.address));
    let texts = async |name: &str| names.texts(name).await.expect("the server answers");
    assert!(texts("_orama-challenge.shop.example.com").await.is_empty(), "no such name");
    server.set("_orama-challenge.shop.example.com", &[&["v=spf1 -all"], &["one ", "text"]]);
    assert_eq!(texts("_orama-challenge.shop.example.com").await, [b"v=spf1 -all".to_vec(), b"one text".to_vec()]);
    server.set("_orama-challenge.shop.example.com", &[&["another"]]);
    assert_eq!(texts("_orama-challenge.shop.example.com").await, [b"another".to_vec()]);
    server.set("_orama-challenge.shop.example.com", &[]);
    assert!(texts("_orama-challenge.shop.example.com").await.is_empty());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let address = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound");
    let names = open(Config::At(address));
    let asked = names.texts("shop.example.com").await;
    assert!(matches!(asked, Err(NamesError::Unavailable(_))), "{asked:?}");
}
