using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Tests;

/// <summary>Properties of sampled positions that follow from no formula, on the CPU executor.</summary>
public sealed class SamplePositionsTests
{
    // Known answers published with the generator (Random123, kat_vectors).
    [Fact]
    public void Philox_gives_its_published_answers()
    {
        Assert.Equal([0x6627E8D5u, 0xE169C58Du, 0xBC57AC4Cu, 0x9B00DBD8u], PatchOracles.Philox([0, 0, 0, 0], [0, 0]));
        Assert.Equal(
            [0x408F276Du, 0x41C83B0Eu, 0xA20BC7C6u, 0x6D5451FDu],
            PatchOracles.Philox([uint.MaxValue, uint.MaxValue, uint.MaxValue, uint.MaxValue], [uint.MaxValue, uint.MaxValue]));
        Assert.Equal(
            [0xD16CFE09u, 0x94FDCCEBu, 0x5001E420u, 0x24126EA1u],
            PatchOracles.Philox([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0]));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    [InlineData(64)]
    [InlineData(33 * 47)]
    [InlineData(4097)]
    public void Positions_are_a_permutation(int extent)
    {
        int[] positions = Sample(1, 2, 3, 0, extent, extent);
        Assert.Equal(Enumerable.Range(0, extent), positions.Order());
    }

    // 256 of 4096 positions agree in 16 places by chance; 60 would be eleven deviations away. Fixed seeds.
    [Fact]
    public void Seeds_steps_and_streams_give_different_positions()
    {
        int[] first = Sample(1, 2, 3, 0, 4096, 256);
        foreach (int[] other in new[]
        {
            Sample(9, 2, 3, 0, 4096, 256), Sample(1, 9, 3, 0, 4096, 256), Sample(1, 2, 9, 0, 4096, 256), Sample(1, 2, 3, 1, 4096, 256),
        })
        {
            Assert.True(first.Intersect(other).Count() < 60);
        }
    }

    // Over 20000 steps, the pair of the first two positions of an extent of 8 takes each of its 56 values equally often: chi-square with 55
    // degrees of freedom exceeds 118 with a probability of 1e-6. The seed is fixed, so the outcome is, too.
    [Fact]
    public void First_two_positions_are_uniform()
    {
        const int extent = 8;
        const int steps = 20000;
        int[] counts = new int[extent * extent];
        using var sampler = new Sampler(0, extent, 2);
        for (int step = 0; step < steps; step++)
        {
            int[] pair = sampler.Run(42, 7, step);
            counts[(pair[0] * extent) + pair[1]]++;
        }

        double expected = steps / (double)(extent * (extent - 1));
        double chiSquare = 0;
        for (int cell = 0; cell < counts.Length; cell++)
        {
            if (cell / extent == cell % extent)
            {
                Assert.Equal(0, counts[cell]);
                continue;
            }

            chiSquare += (counts[cell] - expected) * (counts[cell] - expected) / expected;
        }

        Assert.True(chiSquare < 118, $"chi-square {chiSquare:F1}");
    }

    private static int[] Sample(int seedLow, int seedHigh, int step, int stream, int extent, int count)
    {
        using var sampler = new Sampler(stream, extent, count);
        return sampler.Run(seedLow, seedHigh, step);
    }

    private sealed class Sampler : IDisposable
    {
        private readonly CpuExecutor executor = new();
        private readonly TensorStore store;
        private readonly Model.Execution.Program program;
        private readonly Value random;
        private readonly Value positions;

        public Sampler(int stream, int extent, int count)
        {
            var graph = new Graph();
            random = graph.Input("random", TensorType.Integers(4));
            positions = graph.Output("positions", graph.SamplePositions(random, stream, extent, count));
            store = executor.CreateStore();
            program = executor.Compile(graph, store);
        }

        public int[] Run(int seedLow, int seedHigh, int step)
        {
            program.Write<int>(random, [seedLow, seedHigh, step, 0]);
            program.Run();
            int[] result = new int[positions.Shape.Count];
            program.Read<int>(positions, result);
            return result;
        }

        public void Dispose()
        {
            program.Dispose();
            store.Dispose();
            executor.Dispose();
        }
    }
}
