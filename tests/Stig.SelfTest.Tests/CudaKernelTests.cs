using Stig.Interop.Cuda;
using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Execution.Cuda;
using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.Tests;

namespace Stig.SelfTest.Tests;

/// <summary>That no kernel goes unproven: the records reach all but those that no program uses, which are held to plain loops here.</summary>
public sealed class CudaKernelTests
{
    // Fills are planar, and what is not finite shows in the means over rings, which every refinement has.
    private static readonly string[] Unused = ["count_nonfinite_bf16", "count_nonfinite_f32", "fill_bf16"];

    [Fact]
    public void Every_kernel_that_programs_use_is_reached_by_a_record()
    {
        SimulatedCuda.Require();
        HashSet<string> reached = [];
        foreach (Precision precision in (Precision[])[Precision.F32, Precision.Bf16])
        {
            using var executor = new CudaExecutor(0, precision);
            foreach (OperationCase operation in OperationCases.All.Where(operation => OperationChecks.Supports(executor, operation)))
            {
                OperationChecks.RunOnce(executor, operation);
            }

            reached.UnionWith(executor.Kernels.Loaded);
        }

        Assert.Equal(Unused, KernelLibrary.Entries.Except(reached).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(7)]
    [InlineData(16)]
    public void What_is_not_a_number_reaches_the_results_as_on_the_processor(int channels)
    {
        // Oracle: where the CPU executor's results are not a number; for the pooled map, on both, the windows that have one. A kernel that lost
        // one would hide a broken model.
        const int Pooled = 6;
        SimulatedCuda.Require();
        float[] values = [.. Enumerable.Range(0, channels * 24).Select(i => i % 11 == 0 ? float.NaN : MathF.Sin(i))];
        bool[][] expected = Run(new CpuExecutor());
        bool[] windows = [.. Enumerable.Range(0, channels * 6).Select(i =>
        {
            int corner = (24 * (i / 6)) + (12 * (i % 6 / 3)) + (2 * (i % 3));
            return new[] { 0, 1, 6, 7 }.Any(offset => float.IsNaN(values[corner + offset]));
        })];
        Assert.Equal(windows, expected[Pooled]);
        bool[][] actual = Run(new CudaExecutor(0));
        Assert.Equal(expected, actual);
        Assert.All(actual, positions => Assert.Contains(true, positions));

        bool[][] Run(Executor executor)
        {
            using (executor)
            using (TensorStore store = executor.CreateStore())
            {
                var graph = new Graph();
                Value input = graph.Input("x", TensorType.Float(1, channels, 4, 6));
                Value x = graph.AsFeatures(input);
                Value[] results =
                [
                    graph.Affine(x, 2, 1), graph.Add(x, x), graph.Relu(x), graph.LeakyRelu(x, 0.2f), graph.Sigmoid(x), graph.UnitClamp(x), graph.MaxPool2x2(x),
                    graph.Relu(graph.Add(graph.Affine(x, 2), x)),
                ];
                foreach ((int index, Value result) in results.Index())
                {
                    graph.Output($"{index}", result);
                }

                using Model.Execution.Program program = executor.Compile(graph, store);
                program.Write<float>(input, values);
                program.Run();
                return [.. results.Select(result => program.Read(result).Select(float.IsNaN).ToArray())];
            }
        }
    }

    [Theory]
    [InlineData("_f32", 1, 1, 1)]
    [InlineData("_f32", 3, 37, 40)]
    [InlineData("_f32", 5, 64, 64)]
    [InlineData("_f32", 2, 1031, 1033)]
    [InlineData("_bf16", 1, 1, 1)]
    [InlineData("_bf16", 3, 37, 40)]
    [InlineData("_bf16", 5, 64, 64)]
    [InlineData("_bf16", 2, 1031, 1033)]
    public void What_is_not_finite_is_counted(string type, int rows, int length, int stride)
    {
        // Oracle: a plain loop, exact. Between the rows lies what would count if it were read; the largest finite value does not.
        SimulatedCuda.Require();
        float[] values = new float[rows * stride];
        Array.Fill(values, float.NaN);
        float[] kinds = [float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.MaxValue, -0f, 1f];
        long expected = 0;
        for (int row = 0; row < rows; row++)
        {
            for (int i = 0; i < length; i++)
            {
                // The last element of each row is one of those that count.
                float value = i == length - 1 ? kinds[row % 3] : kinds[(7 * i) % kinds.Length];
                values[(row * stride) + i] = value == float.MaxValue && type == "_bf16" ? BitConverter.Int32BitsToSingle(0x7F7F0000) : value;
                expected += float.IsFinite(value) ? 0 : 1;
            }
        }

        using var executor = new CudaExecutor(0);
        executor.Context.MakeCurrent();
        int size = type == "_bf16" ? 2 : 4;
        using DeviceMemory source = DeviceMemory.Allocate(executor.Context, (long)values.Length * size, executor.Stream);
        using DeviceMemory count = DeviceMemory.Allocate(executor.Context, sizeof(long), executor.Stream);
        if (size == 2)
        {
            executor.Stream.CopyToDeviceAndWait<ushort>(source.Pointer, Array.ConvertAll(values, value => (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16)));
        }
        else
        {
            executor.Stream.CopyToDeviceAndWait<float>(source.Pointer, values);
        }

        // Added to what is there.
        executor.Stream.CopyToDeviceAndWait<long>(count.Pointer, [100]);
        KernelCall.ForItems(executor, "count_nonfinite" + type, rows * CudaKernels.Vectors(length, size))
            .With(source.Pointer).With(count.Pointer).With((long)rows).With((long)length).With((long)stride).Queue();
        long[] result = new long[1];
        executor.Stream.CopyToHostAndWait<long>(result, count.Pointer);

        Assert.Equal(100 + expected, result[0]);
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(3, 37, 40)]
    [InlineData(5, 64, 64)]
    [InlineData(2, 1031, 1033)]
    public void Rows_of_bfloat16_are_filled_and_what_lies_between_is_left(int rows, int length, int stride)
    {
        // Oracle: a plain loop, exact: 1 + 2^-8 lies between two bfloat16 and goes to the even one, 1.
        SimulatedCuda.Require();
        using var executor = new CudaExecutor(0);
        executor.Context.MakeCurrent();
        ushort[] values = new ushort[rows * stride];
        Array.Fill(values, (ushort)0x1234);
        using DeviceMemory memory = DeviceMemory.Allocate(executor.Context, (long)values.Length * sizeof(ushort), executor.Stream);
        executor.Stream.CopyToDeviceAndWait<ushort>(memory.Pointer, values);
        KernelCall.ForItems(executor, "fill_bf16", rows * CudaKernels.Vectors(length, sizeof(ushort)))
            .With(memory.Pointer).With((long)rows).With((long)length).With((long)stride).With(1f + (1f / 256)).Queue();
        ushort[] result = new ushort[values.Length];
        executor.Stream.CopyToHostAndWait<ushort>(result, memory.Pointer);

        Assert.Equal(Enumerable.Range(0, values.Length).Select(i => i % stride < length ? (ushort)0x3F80 : (ushort)0x1234), result);
    }
}
