"""AWS as far as drakit needs it, emulated on loopback: what `--rehearse` runs against, and any other AWS client may.

Start it in the foreground, then point a client at it:

    python -m drakit.rehearsal --port 4510 --folder .rehearsal

    export AWS_ENDPOINT_URL=http://127.0.0.1:4510 AWS_REGION=us-west-2
    export AWS_ACCESS_KEY_ID=AKIAREHEARSAL0000000 AWS_SECRET_ACCESS_KEY=rehearsal

Most services are moto's. In front of it stand drakit's own: EKS, whose clusters are the sandbox's control planes, and
what moto lacks in EC2, Service Quotas, Pricing, Auto Scaling and SSM. Everything but the control planes' files is in
memory and ends with the server. See docs/decisions/0010-rehearsal.md.

Beside AWS's APIs, under `/_drakit/`: `health`, `inventory`, `faults`, `quotas`, `capacity-reservations`, `instances`.
"""
