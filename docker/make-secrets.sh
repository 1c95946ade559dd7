#!/bin/sh
# Makes the secrets of compose.yaml in docker/secrets/; what is there already stays as it is.
set -eu
umask 022
cd "$(dirname "$0")"
mkdir -p secrets
# Only their owner gets into the folder. The files themselves have to be readable by the containers' users, who see
# them as single files: compose cannot give a file another owner.
chmod 700 secrets

keep() { # NAME VALUE
    [ -e "secrets/$1" ] || printf %s "$2" >"secrets/$1"
}
hex() { # BYTES
    od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'
}

keep postgres_password "$(hex 24)"
password=$(cat secrets/postgres_password)
keep airflow_database_url "postgresql+psycopg2://sailplane:$password@postgres:5432/airflow"
keep ledger_url "postgresql+psycopg2://sailplane:$password@postgres:5432/ledger"
keep fernet_key "$(head -c 32 /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_')"
keep api_secret_key "$(hex 32)"
keep jwt_secret "$(hex 64)"
