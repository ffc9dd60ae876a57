# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of authentication, shared by all modules."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  auth_method:
    description:
      - How to authenticate to Vault.
    type: str
    choices: [token, approle, userpass, ldap, jwt, kubernetes, cert, aws_iam, azure, gcp, none]
    default: token
  mount_point:
    description:
      - Path of the auth method's mount. The default is the method's own name.
      - This is not the mount of the secrets engine; see O(mount).
    type: str
  token:
    description:
      - Vault token.
      - Falls back to E(VAULT_TOKEN), and then to the file O(token_file) in O(token_path).
    type: str
  token_path:
    description:
      - Directory of the token file. The default is the home directory of the user that runs the task.
    type: path
  token_file:
    description:
      - Name of the token file.
    type: str
    default: .vault-token
  token_validate:
    description:
      - Whether a given token is looked up before it is used. The token needs C(read) on C(auth/token/lookup-self) for that.
    type: bool
    default: false
  revoke_token:
    description:
      - Whether a token that a login of this task has obtained is revoked when the task ends.
      - A token that was given with O(token) is never revoked.
    type: bool
    default: true
  username:
    description:
      - User name for O(auth_method=userpass) and O(auth_method=ldap).
    type: str
  password:
    description:
      - Password for O(auth_method=userpass) and O(auth_method=ldap).
    type: str
  role_id:
    description:
      - Role id for O(auth_method=approle); name of the auth method's role for V(jwt), V(kubernetes), V(cert), V(aws_iam), V(azure)
        and V(gcp).
    type: str
  secret_id:
    description:
      - Secret id for O(auth_method=approle).
    type: str
  wrapped_secret_id:
    description:
      - Wrapping token that holds the secret id for O(auth_method=approle). It is unwrapped once, by this task.
    type: str
  jwt:
    description:
      - JSON Web Token for O(auth_method=jwt), V(gcp), and optionally V(azure) and V(kubernetes).
    type: str
  kubernetes_token_path:
    description:
      - File of the service account token for O(auth_method=kubernetes) where O(jwt) is not given.
        The default is V(/var/run/secrets/kubernetes.io/serviceaccount/token).
    type: path
  aws_profile:
    description:
      - AWS profile for O(auth_method=aws_iam).
    type: str
    aliases: [boto_profile]
  aws_access_key:
    description:
      - AWS access key for O(auth_method=aws_iam). Without it and O(aws_secret_key), boto3 finds the credentials.
    type: str
    aliases: [aws_access_key_id]
  aws_secret_key:
    description:
      - AWS secret key for O(auth_method=aws_iam).
    type: str
    aliases: [aws_secret_access_key]
  aws_security_token:
    description:
      - AWS session token, if O(aws_access_key) and O(aws_secret_key) are temporary.
    type: str
  region:
    description:
      - AWS region that signs the login, V(us-east-1) by default.
    type: str
  aws_iam_server_id:
    description:
      - Value of the header C(X-Vault-AWS-IAM-Server-ID), if Vault requires it.
    type: str
  azure_tenant_id:
    description:
      - Tenant of the service principal for O(auth_method=azure).
    type: str
  azure_client_id:
    description:
      - Client id of the service principal or managed identity for O(auth_method=azure). The default is the system's own identity.
    type: str
  azure_client_secret:
    description:
      - Client secret of the service principal for O(auth_method=azure).
    type: str
  azure_resource:
    description:
      - Resource that the Azure token is for.
    type: str
    default: https://management.azure.com/
  cert_auth_public_key:
    description:
      - PEM file of the client certificate that is presented to Vault; needed for O(auth_method=cert).
      - Falls back to E(VAULT_CLIENT_CERT).
    type: path
  cert_auth_private_key:
    description:
      - PEM file of the private key of O(cert_auth_public_key).
      - Falls back to E(VAULT_CLIENT_KEY).
    type: path
"""

    # For plugins: where options come from that are not given, as in community.hashi_vault.
    PLUGINS = r"""
options:
  auth_method:
    env:
      - name: ANSIBLE_HASHI_VAULT_AUTH_METHOD
    ini:
      - section: hashi_vault_collection
        key: auth_method
    vars:
      - name: ansible_hashi_vault_auth_method
  mount_point:
    env:
      - name: ANSIBLE_HASHI_VAULT_MOUNT_POINT
    ini:
      - section: hashi_vault_collection
        key: mount_point
    vars:
      - name: ansible_hashi_vault_mount_point
  token:
    env:
      - name: ANSIBLE_HASHI_VAULT_TOKEN
    vars:
      - name: ansible_hashi_vault_token
  token_path:
    env:
      - name: ANSIBLE_HASHI_VAULT_TOKEN_PATH
    ini:
      - section: hashi_vault_collection
        key: token_path
    vars:
      - name: ansible_hashi_vault_token_path
  token_file:
    env:
      - name: ANSIBLE_HASHI_VAULT_TOKEN_FILE
    ini:
      - section: hashi_vault_collection
        key: token_file
    vars:
      - name: ansible_hashi_vault_token_file
  token_validate:
    env:
      - name: ANSIBLE_HASHI_VAULT_TOKEN_VALIDATE
    ini:
      - section: hashi_vault_collection
        key: token_validate
    vars:
      - name: ansible_hashi_vault_token_validate
  revoke_token:
    env:
      - name: ANSIBLE_HASHI_VAULT_REVOKE_TOKEN
    ini:
      - section: hashi_vault_collection
        key: revoke_token
    vars:
      - name: ansible_hashi_vault_revoke_token
  username:
    env:
      - name: ANSIBLE_HASHI_VAULT_USERNAME
    vars:
      - name: ansible_hashi_vault_username
  password:
    env:
      - name: ANSIBLE_HASHI_VAULT_PASSWORD
    vars:
      - name: ansible_hashi_vault_password
  role_id:
    env:
      - name: ANSIBLE_HASHI_VAULT_ROLE_ID
    ini:
      - section: hashi_vault_collection
        key: role_id
    vars:
      - name: ansible_hashi_vault_role_id
  secret_id:
    env:
      - name: ANSIBLE_HASHI_VAULT_SECRET_ID
    vars:
      - name: ansible_hashi_vault_secret_id
  wrapped_secret_id:
    env:
      - name: ANSIBLE_HASHI_VAULT_WRAPPED_SECRET_ID
    vars:
      - name: ansible_hashi_vault_wrapped_secret_id
  jwt:
    env:
      - name: ANSIBLE_HASHI_VAULT_JWT
  kubernetes_token_path:
    env:
      - name: ANSIBLE_HASHI_VAULT_KUBERNETES_TOKEN_PATH
    ini:
      - section: hashi_vault_collection
        key: kubernetes_token_path
    vars:
      - name: ansible_hashi_vault_kubernetes_token_path
  aws_profile:
    env:
      - name: AWS_DEFAULT_PROFILE
      - name: AWS_PROFILE
  aws_access_key:
    env:
      - name: EC2_ACCESS_KEY
      - name: AWS_ACCESS_KEY
      - name: AWS_ACCESS_KEY_ID
  aws_secret_key:
    env:
      - name: EC2_SECRET_KEY
      - name: AWS_SECRET_KEY
      - name: AWS_SECRET_ACCESS_KEY
  aws_security_token:
    env:
      - name: EC2_SECURITY_TOKEN
      - name: AWS_SESSION_TOKEN
      - name: AWS_SECURITY_TOKEN
  region:
    env:
      - name: EC2_REGION
      - name: AWS_REGION
  aws_iam_server_id:
    env:
      - name: ANSIBLE_HASHI_VAULT_AWS_IAM_SERVER_ID
    ini:
      - section: hashi_vault_collection
        key: aws_iam_server_id
  azure_tenant_id:
    env:
      - name: ANSIBLE_HASHI_VAULT_AZURE_TENANT_ID
    ini:
      - section: hashi_vault_collection
        key: azure_tenant_id
    vars:
      - name: ansible_hashi_vault_azure_tenant_id
  azure_client_id:
    env:
      - name: ANSIBLE_HASHI_VAULT_AZURE_CLIENT_ID
    ini:
      - section: hashi_vault_collection
        key: azure_client_id
    vars:
      - name: ansible_hashi_vault_azure_client_id
  azure_client_secret:
    env:
      - name: ANSIBLE_HASHI_VAULT_AZURE_CLIENT_SECRET
    vars:
      - name: ansible_hashi_vault_azure_client_secret
  azure_resource:
    env:
      - name: ANSIBLE_HASHI_VAULT_AZURE_RESOURCE
    ini:
      - section: hashi_vault_collection
        key: azure_resource
    vars:
      - name: ansible_hashi_vault_azure_resource
  cert_auth_public_key:
    env:
      - name: ANSIBLE_HASHI_VAULT_CERT_AUTH_PUBLIC_KEY
    ini:
      - section: hashi_vault_collection
        key: cert_auth_public_key
    vars:
      - name: ansible_hashi_vault_cert_auth_public_key
  cert_auth_private_key:
    env:
      - name: ANSIBLE_HASHI_VAULT_CERT_AUTH_PRIVATE_KEY
    ini:
      - section: hashi_vault_collection
        key: cert_auth_private_key
    vars:
      - name: ansible_hashi_vault_cert_auth_private_key
"""
