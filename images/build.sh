#!/bin/sh
# Runs in moby/buildkit: builds the files mounted at /context on $BASE and pushes them as $REFERENCE, unless the
# registry has it.
# Arguments are passed to the build. Secrets, where mounted: /secrets/push/.dockerconfigjson, /secrets/pip/{pip.conf,ca.crt}.
set -eu
export HOME=/state TMPDIR=/state
export BUILDKITD_FLAGS="--root=/state/buildkit --config=/context/buildkitd.toml --oci-worker-net=host"
mkdir -p /state/.docker /state/context /state/probe
[ ! -e /secrets/push/.dockerconfigjson ] || cp /secrets/push/.dockerconfigjson /state/.docker/config.json
cp -rL /context/. /state/context

build() { buildctl-daemonless.sh build --progress=plain --frontend=dockerfile.v0 "$@"; }

echo "FROM $REFERENCE" > /state/probe/Dockerfile
if build --local=dockerfile=/state/probe --local=context=/state/probe > /state/probe/log 2>&1; then
  echo "$REFERENCE is in the registry already"
  exit
fi
for secret in pip.conf ca.crt; do
  if [ -e "/secrets/pip/$secret" ]; then set -- "$@" "--secret=id=$secret,src=/secrets/pip/$secret"; fi
done
build --local=dockerfile=/state/context --local=context=/state/context "$@" \
  --opt=build-arg:BASE="$BASE" \
  --output="type=image,name=$REFERENCE,push=true,oci-mediatypes=true,compression=zstd,compression-level=1"
