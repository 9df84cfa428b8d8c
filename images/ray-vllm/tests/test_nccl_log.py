"""What the lines of NCCL tell, by lines in the words of NCCL 2.29."""

import pytest
from nccl_log import ways

HEAD = "deepseek-head:7:31 [0] NCCL INFO "
SOCKET = "NET/Socket : Using [0]eth0:10.0.0.4<0>"
INFINIBAND = "NET/IB : Using [0]mlx5_0:1/IB [1]mlx5_3:1/IB [RO]; OOB eth0:10.0.0.4<0>"


def log(*lines: str) -> str:
    return "\n".join(HEAD + line for line in lines)


@pytest.mark.parametrize(
    ("lines", "in_node"),
    [
        (["    + NVL[280.0] - NVS/0", "Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM/read"], "NVLink"),
        (["              + NVL[370.8] - NVS/0", "Channel 30/0 : 0[0] -> 1[6] via P2P/CUMEM"], "NVLink"),
        (["Channel 00/0 : 16[17000] -> 18[21000] via P2P/IPC comm 0x5609976f9470 nRanks 32"], "PCIe"),
        (["Channel 00/0 : 0[0] -> 1[1] via P2P/IPC"], "PCIe"),
        (["Channel 00 : 0[0] -> 1[1] via SHM/direct/direct"], "shared memory"),
        (["Channel 00 : 0[0] -> 1[1] via SHM/direct/direct", "Channel 00 : 0[0] -> 2[2] via P2P/IPC"], "shared memory"),
        (["Init COMPLETE"], None),
    ],
)
def test_the_slowest_way_within_a_node_counts(lines: list[str], in_node: str | None) -> None:
    assert ways([log(*lines)]).in_node == in_node


@pytest.mark.parametrize(
    ("lines", "between", "direct"),
    [
        (
            ["Channel 01/0 : 1[0] -> 0[0] [receive] via NET/Socket/0 comm 0x2083dd50 nRanks 02"],
            "sockets",
            False,
        ),
        (
            [
                "NET/IB : Using [0]mlx5_1:1/RoCE [1]mlx5_2:1/RoCE [RO]; OOB eth0:10.0.0.4<0>",
                "Channel 00/0 : 8[0] -> 0[0] [receive] via NET/IB/0/GDRDMA/Shared",
            ],
            "InfiniBand with GPUDirect (mlx5_1, mlx5_2)",
            True,
        ),
        (
            [SOCKET, "Channel 00/0 : 1[0] -> 0[0] [receive] via NET/Socket/0"],
            "sockets on eth0",
            False,
        ),
        (
            [INFINIBAND, "Channel 00/0 : 1[0] -> 0[0] [send] via NET/IB/0/GDRDMA"],
            "InfiniBand with GPUDirect (mlx5_0, mlx5_3)",
            True,
        ),
        (
            [
                INFINIBAND,
                "Channel 00/0 : 1[0] -> 0[0] [send] via NET/IB/0/GDRDMA",
                "Channel 01/0 : 1[0] -> 0[0] [send] via NET/IB/1",
            ],
            "InfiniBand (mlx5_0, mlx5_3)",
            False,
        ),
        (["Channel 00/0 : 1[0] -> 0[0] [send] via NET/Libfabric/0/GDRDMA"], "Libfabric with GPUDirect", True),
        (["Channel 00/0 : 1[0] -> 0[0] [send] via NET/IBext_v11/0(1)/GDRDMA"], "InfiniBand with GPUDirect", True),
    ],
)
def test_the_way_between_nodes_is_told_with_its_devices(lines: list[str], between: str, direct: bool) -> None:  # noqa: FBT001
    found = ways([log(*lines)])
    assert (found.between_nodes, found.direct) == (between, direct)


def test_one_rank_over_sockets_makes_the_node_one_over_sockets() -> None:
    found = ways(
        [
            log(INFINIBAND, "Channel 00/0 : 1[0] -> 0[0] [send] via NET/IB/0/GDRDMA"),
            log(SOCKET, "Channel 00/0 : 3[1] -> 2[1] [send] via NET/Socket/0"),
        ]
    )
    assert (found.network, found.between_nodes) == ("sockets", "sockets on eth0")


def test_variables_of_the_user_are_told_and_those_of_the_proof_are_not() -> None:
    found = ways(
        [
            log(
                "NCCL_DEBUG set by environment to INFO.",
                "NCCL_IB_DISABLE set by environment to 1.",
                "NCCL_SOCKET_IFNAME set by environment to eth0",
                "NCCL_IB_HCA set to mlx5_",
                "Failed to open libibverbs.so[.1]",
                "NET/IB : No device found.",
            )
        ]
    )
    assert found.variables == {"NCCL_IB_DISABLE": "1", "NCCL_IB_HCA": "mlx5_", "NCCL_SOCKET_IFNAME": "eth0"}
    assert found.without_device
    assert found.without_library
