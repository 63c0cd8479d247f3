using Stig.Interop.Cuda;
using Stig.Model.Checkpoints;
using Stig.Model.Execution;
using Stig.Model.Execution.Cuda;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Randomness;
using Stig.Model.Refinement;
using Stig.Model.Translation;
using Stig.Tests;

namespace Stig.Model.Tests.Cuda;

/// <summary>
/// Failures injected into the simulated device while a program is compiled, run, recorded, replayed and read. Oracle: the type of the
/// exception, what is left on the device (nothing), and the bytes of an undisturbed run, which the device gives again after what it recovers
/// from.
/// </summary>
[Collection(OneDeviceTestAtATime.Name)]
public sealed class CudaFaultTests : IDisposable
{
    private const int Size = 16;

    // Queued, recorded and replayed.
    private const int Runs = 3;

    private static readonly ModelArchitecture Architecture = new(Preset.Default, Size, 2, NormalizationMode.PerImage);
    private static readonly float[] Image = RandomImage();

    // A test that failed must not take others with it.
    public void Dispose()
    {
        if (SimulatedCuda.CanInject)
        {
            SimulatedCuda.FailAllocation(0);
            SimulatedCuda.FailLaunch(0);
            SimulatedCuda.RefuseCapture(0);
        }
    }

    [Fact]
    public void Out_of_memory_at_any_allocation_is_its_exception_leaks_nothing_and_the_device_goes_on()
    {
        SimulatedCuda.RequireInjection();
        string before = SimulatedCuda.Leaks();
        byte[] expected = Bytes(Undisturbed());
        int failures = 0;
        for (bool failed = true; failed;)
        {
            CudaExecutor? executor = null;
            SimulatedCuda.FailAllocation(failures + 1);
            DeviceOutOfMemoryException? thrown = Thrown<DeviceOutOfMemoryException>(() =>
            {
                executor = new CudaExecutor(0);
                _ = Refine(executor);
            });
            SimulatedCuda.FailAllocation(0);
            failed = thrown is not null;
            Assert.True(!failed || executor is null || thrown!.FreeBytes > 0, thrown?.Message);
            failures += failed ? 1 : 0;

            // The same executor, straight after.
            if (executor is not null)
            {
                Assert.Equal(expected, Bytes(Refine(executor, runs: 1)));
                executor.Dispose();
            }

            Assert.True(SimulatedCuda.Leaks() == before, $"left after failure {failures}:\n{SimulatedCuda.Leaks()}");
        }

        // Context, stream, modules, library handles, plans, each parameter, each convolution's weights, arena and so on, the recording.
        Assert.InRange(failures, Checkpoint.ModelParameters(Architecture).Count(), 1000);
    }

    [Fact]
    public void A_launch_that_fails_loses_the_device_which_says_so_and_leaks_nothing()
    {
        SimulatedCuda.RequireInjection();
        long launches = Launches();
        Assert.InRange(launches, 100, 1000);

        // At the first operation, within each of the three runs, and at the last one.
        foreach (long n in new[] { 1, launches / 6, launches / 2, launches * 5 / 6, launches })
        {
            DeviceLostException lost = Lose(() => SimulatedCuda.FailLaunch(n), _ => { });
            Assert.Contains("(719)", lost.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void A_device_that_goes_away_is_lost_wherever_the_program_stands(int stage)
    {
        SimulatedCuda.RequireInjection();
        DeviceLostException lost = Lose(() => { }, at =>
        {
            if (at == stage)
            {
                SimulatedCuda.LoseDevice();
            }
        });
        Assert.Contains("(46)", lost.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(60)]
    public void A_recording_that_is_refused_leaves_plain_launches_with_the_same_bytes_and_says_why(int operation)
    {
        SimulatedCuda.RequireInjection();
        byte[] expected = Bytes(Undisturbed());
        string before = SimulatedCuda.Leaks();
        using (var executor = new CudaExecutor(0))
        using (TensorStore store = Store(executor))
        using (CudaProgram program = Compile(executor, store, out Value input, out Value output))
        {
            SimulatedCuda.RefuseCapture(operation);
            for (int run = 0; run < Runs; run++)
            {
                program.Write<float>(input, Image);
                program.Run();
                Assert.Equal(expected, Bytes(program.Read(output)));
                Assert.False(program.IsRecorded);
                Assert.Equal(run > 0, program.CaptureRefusal is not null);
            }

            // The driver's own refusal has code 900; a library wraps it into its own words.
            Assert.Matches("returned (CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED|CUFFT_|CUDNN_STATUS_)", program.CaptureRefusal);
        }

        SimulatedCuda.RefuseCapture(0);
        Assert.Equal(before, SimulatedCuda.Leaks());
    }

    // Runs a refinement that loses the device, and sees that the objects say so from then on and can be disposed; then a new device.
    private static DeviceLostException Lose(Action prepare, Action<int> reach)
    {
        Assert.Equal("", SimulatedCuda.Leaks());
        byte[] expected = Bytes(Undisturbed());
        var executor = new CudaExecutor(0);
        CudaContext context = executor.Context;
        DeviceLostException? lost;
        try
        {
            lost = Thrown<DeviceLostException>(() =>
            {
                prepare();
                _ = Refine(executor, reach);
            });
            Assert.NotNull(lost);
            Assert.Throws<DeviceLostException>(() => Refine(executor));
            Assert.Throws<DeviceLostException>(context.Synchronize);
        }
        finally
        {
            executor.Dispose();
            SimulatedCuda.Restart();
        }

        Assert.Equal(0, context.LiveResources);
        Assert.Equal(0, context.ForgottenResources);
        Assert.Equal(expected, Bytes(Undisturbed()));
        return lost;
    }

    private static float[] Undisturbed()
    {
        using var executor = new CudaExecutor(0);
        return Refine(executor);
    }

    private static long Launches()
    {
        using var executor = new CudaExecutor(0);
        long before = SimulatedCuda.KernelLaunches;
        _ = Refine(executor);
        return SimulatedCuda.KernelLaunches - before;
    }

    // Everything from the upload of the weights to the result; `reach` is told of each stage before it begins.
    private static float[] Refine(CudaExecutor executor, Action<int>? reach = null, int runs = Runs)
    {
        reach?.Invoke(0);
        using TensorStore store = Store(executor);
        reach?.Invoke(1);
        using CudaProgram program = Compile(executor, store, out Value input, out Value output);
        for (int run = 0; run < runs; run++)
        {
            reach?.Invoke(2 + run);
            program.Write<float>(input, Image);
            program.Run();
        }

        return program.Read(output);
    }

    private static CudaProgram Compile(CudaExecutor executor, TensorStore store, out Value input, out Value output)
    {
        var graph = new Graph();
        input = graph.Input("images", TensorType.Float(1, 3, Size, Size));
        output = graph.Output("refined", RefineGraph.Build(graph, Architecture, input, OutputRange.Clamp));
        return (CudaProgram)executor.Compile(graph, store);
    }

    private static TensorStore Store(CudaExecutor executor)
    {
        TensorStore store = executor.CreateStore();
        try
        {
            foreach (ParameterSpec spec in Checkpoint.ModelParameters(Architecture))
            {
                store.Create(spec.Name, spec.Shape, spec.Initialize(3));
            }

            return store;
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }

    // Exactly that type, or nothing thrown.
    private static T? Thrown<T>(Action action) where T : Exception
    {
        Exception? thrown = Record.Exception(action);
        return thrown is null ? null : Assert.IsType<T>(thrown);
    }

    private static byte[] Bytes(float[] values) => System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(values).ToArray();

    private static float[] RandomImage()
    {
        var random = new CounterRandom(11, "image");
        return [.. Enumerable.Range(0, 3 * Size * Size).Select(i => (float)random.Uniform(i))];
    }
}
