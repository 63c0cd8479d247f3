using System.Runtime.InteropServices;
using Stig.Model.Execution;
using Stig.Model.Execution.Cuda;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;
using Stig.Model.Refinement;
using Stig.Model.Tests.Refinement;
using Stig.Model.Translation;
using Stig.Tests;

namespace Stig.Model.Tests.Cuda;

/// <summary>What a step asks of the driver and the libraries, counted by the simulated ones.</summary>
[Collection(OneDeviceTestAtATime.Name)]
public sealed unsafe class ReplayTests
{
    // Besides what a step asks for, the context is made current and let go, which costs no more than writing a variable.
    private static readonly string[] Bookkeeping = ["cuCtxPushCurrent_v2", "cuCtxPopCurrent_v2", "cuCtxSetCurrent", "cuCtxGetCurrent"];

    private readonly nint driver;

    public ReplayTests()
    {
        SimulatedCuda.Require();
        string path = Path.Combine(Environment.GetEnvironmentVariable("STIG_CUDA_PATH")!, "libcuda.so.1");
        bool simulated = NativeLibrary.TryLoad(path, out driver) && NativeLibrary.TryGetExport(driver, "cudasim_reset_call_counts", out _);
        Assert.SkipUnless(simulated, "Only the simulated driver counts calls.");
    }

    [Theory]
    [InlineData(Preset.Default, Precision.Bf16)]
    [InlineData(Preset.Official, Precision.F32)]
    public void A_replayed_step_is_one_upload_one_launch_one_download_and_one_wait(Preset preset, Precision precision)
    {
        var architecture = new ModelArchitecture(preset, 32, 8, preset == Preset.Default ? NormalizationMode.PerImage : NormalizationMode.Batch);
        using var executor = new CudaExecutor(0, precision);
        using TensorStore store = CudaExecutorTests.Store(executor, architecture);
        var graph = new Graph();
        Value input = graph.Input("images", TensorType.Bytes(new Shape(2, 3, 32, 32)));
        Value refined = RefineGraph.Build(graph, architecture, graph.UnpackPixels(input), OutputRange.Clamp);
        Value output = graph.Output("refined", graph.PackPixels(refined, PixelRounding.Nearest));
        using var program = (CudaProgram)executor.Compile(graph, store);
        byte[] images = [.. Enumerable.Range(0, (int)input.Type.ByteCount).Select(i => (byte)(i * 7))];
        byte[] result = new byte[images.Length];
        Step();
        Step();
        Assert.True(program.IsRecorded, program.CaptureRefusal);
        int handles = LiveFftPlans();

        Call("cudasim_reset_call_counts");
        Step();

        Assert.Equal(1, Count("cuMemcpyHtoDAsync_v2"));
        Assert.Equal(1, Count("cuGraphLaunch"));
        Assert.Equal(1, Count("cuMemcpyDtoHAsync_v2"));
        Assert.Equal(1, Count("cuStreamSynchronize"));
        Assert.Equal(4 + Bookkeeping.Sum(Count), Total());
        Assert.Equal(handles, LiveFftPlans());

        void Step()
        {
            program.Write<byte>(input, images);
            program.Run();
            program.Read<byte>(output, result);
        }
    }

    [Fact]
    public void A_refined_batch_is_one_upload_one_launch_and_a_download_and_a_wait_for_each_result()
    {
        // The results are the images, and the means that show what is not finite.
        using BatchWorkspace workspace = new();
        using Refiner refiner = Refiner.Load(workspace.Model, new RefinerOptions { Device = "cuda:0", Batch = 2 });
        byte[] images = [.. Enumerable.Range(0, 2 * 3 * 32 * 32).Select(i => (byte)(i * 7))];
        byte[] refined = new byte[images.Length];
        refiner.Refine(images, refined, 2, 32, 32);
        refiner.Refine(images, refined, 2, 32, 32);
        byte[] recorded = [.. refined];

        Call("cudasim_reset_call_counts");
        refiner.Refine(images, refined, 2, 32, 32);

        Assert.Equal(
            (1, 1, 2, 2), (Count("cuMemcpyHtoDAsync_v2"), Count("cuGraphLaunch"), Count("cuMemcpyDtoHAsync_v2"), Count("cuStreamSynchronize")));
        Assert.Equal(6 + Bookkeeping.Sum(Count), Total());
        Assert.Equal(recorded, refined);
    }

    [Fact]
    public void Transform_plans_go_with_their_programs()
    {
        // Each size takes plans of its own; those of programs that are gone are gone.
        using var executor = new CudaExecutor(0);
        using TensorStore store = executor.CreateStore();
        int before = LiveFftPlans();
        for (int size = 8; size < 40; size += 2)
        {
            var graph = new Graph();
            Value input = graph.Input("images", TensorType.Float(1, 1, size, size));
            (Value magnitude, Value phasor) = graph.LogSpectrum(input);
            graph.Output("images", graph.InverseSpectrum(magnitude, phasor, ImageComponent.Modulus, FinalShift.Inverse));
            using Stig.Model.Execution.Program program = executor.Compile(graph, store);
            Assert.InRange(LiveFftPlans() - before, 1, 2);
        }

        Assert.Equal(before, LiveFftPlans());
    }

    private void Call(string name) => ((delegate* unmanaged<void>)NativeLibrary.GetExport(driver, name))();

    private int Count(string symbol)
    {
        byte[] text = [.. System.Text.Encoding.UTF8.GetBytes(symbol), 0];
        fixed (byte* pointer = text)
        {
            return (int)((delegate* unmanaged<byte*, long>)NativeLibrary.GetExport(driver, "cudasim_call_count"))(pointer);
        }
    }

    private int Total() => (int)((delegate* unmanaged<long>)NativeLibrary.GetExport(driver, "cudasim_total_call_count"))();

    private int LiveFftPlans()
    {
        fixed (byte* kind = "cufft plan\0"u8)
        {
            return (int)((delegate* unmanaged<byte*, long>)NativeLibrary.GetExport(driver, "cudasim_live_handles"))(kind);
        }
    }
}
