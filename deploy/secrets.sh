#!/bin/sh
# Random secrets in deploy/secrets/, a file each; those that are there stay. Git ignores the folder.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
for name in auth_token redis_password postgres_password \
    mlflow_admin mlflow_recorder mlflow_reader mlflow_session; do
    [ -s "secrets/$name" ] || openssl rand -hex 32 | tr -d '\n' > "secrets/$name"
done
# Keys of the scoring server by name; docs/serving.md tells what else an entry may say.
[ -s secrets/api_keys ] || printf 'line-1:\n  keys: [%s]\n' "$(openssl rand -hex 32)" > secrets/api_keys
for account in recorder reader; do  # as MLflow's clients read them from ~/.mlflow/credentials
    printf '[mlflow]\nmlflow_tracking_username = %s\nmlflow_tracking_password = %s\n' \
        "$account" "$(cat "secrets/mlflow_$account")" > "secrets/credentials_$account"
done
echo "deploy/secrets/ is complete; keep a copy of it where only you can read"
