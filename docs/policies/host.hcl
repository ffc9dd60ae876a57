# A host that only fetches what was ordered for it. Put the name of its role in the place of the first '+'. The
# engine is mounted at pki-external-ca. Covers the modules vault_extca_order_certificate,
# vault_extca_order_certificates, vault_extca_certificate_info.

path "pki-external-ca/lookup/cert/+" {
  capabilities = ["read"]
}

path "pki-external-ca/role/+/cached" {
  capabilities = ["read"]
}

path "pki-external-ca/role/+/order/+/fetch-cert" {
  capabilities = ["read"]
}

path "pki-external-ca/role/+/order/+/status" {
  capabilities = ["read"]
}
