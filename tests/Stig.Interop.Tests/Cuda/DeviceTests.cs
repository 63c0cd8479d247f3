using System.Text;
using Stig.Interop.Cuda;
using Stig.Interop.Cuda.Loading;
using Stig.Tests;

namespace Stig.Interop.Tests.Cuda;

/// <summary>
/// The driver's owners on a device, real or simulated. Oracle: plain loops over the same values; all comparisons are exact, since copies
/// and single float32 multiplications are.
/// </summary>
[Collection(OneDeviceTestAtATime.Name)]
public sealed class DeviceTests
{
    /// <summary>Writes factor * source[i] to destination[i] for i below count, one element a thread.</summary>
    private const string ScalePtx = """
        .version 7.0
        .target sm_80
        .address_size 64

        .visible .entry scale(.param .u64 source, .param .u64 destination, .param .f32 factor, .param .u64 count)
        {
            .reg .pred %p;
            .reg .b32 %r<4>;
            .reg .f32 %f<3>;
            .reg .b64 %rd<8>;

            ld.param.u64 %rd0, [source];
            ld.param.u64 %rd1, [destination];
            ld.param.f32 %f0, [factor];
            ld.param.u64 %rd2, [count];
            mov.u32 %r0, %ctaid.x;
            mov.u32 %r1, %ntid.x;
            mov.u32 %r2, %tid.x;
            mad.lo.s32 %r3, %r0, %r1, %r2;
            cvt.u64.u32 %rd3, %r3;
            setp.ge.u64 %p, %rd3, %rd2;
            @%p bra DONE;
            cvta.to.global.u64 %rd0, %rd0;
            cvta.to.global.u64 %rd1, %rd1;
            shl.b64 %rd4, %rd3, 2;
            add.u64 %rd5, %rd0, %rd4;
            add.u64 %rd6, %rd1, %rd4;
            ld.global.f32 %f1, [%rd5];
            mul.rn.f32 %f2, %f1, %f0;
            st.global.f32 [%rd6], %f2;
        DONE:
            ret;
        }
        """;

    private const int Count = 1000; // not a multiple of the block: the tail is tested

    [Fact]
    public void A_context_says_what_it_is_and_counts_what_lives_in_it()
    {
        using CudaContext context = CudaMachine.Open();
        Assert.NotEqual(0, context.Handle);
        Assert.NotEmpty(context.Device.Name);
        Assert.True(context.Device.ComputeCapability >= CudaDriver.MinimumComputeCapability);
        Assert.True(context.Device.Multiprocessors > 0);
        (long free, long total) = context.Memory;
        Assert.InRange(free, 1, total);
        Assert.Equal(0, context.LiveResources);
        using (CudaStream.Create(context))
        {
            Assert.Equal(1, context.LiveResources);
        }

        Assert.Equal(0, context.LiveResources);
        Assert.Null(context.ReleaseFailure);
    }

    [Fact]
    public void A_borrowed_context_and_stream_are_not_released()
    {
        using CudaContext owner = CudaMachine.Open();
        using CudaStream ownedStream = CudaStream.Create(owner);
        using (CudaContext borrowed = CudaContext.Borrow(owner.Handle))
        {
            Assert.Equal(owner.Handle, borrowed.Handle);
            Assert.Equal(0, borrowed.Device.Ordinal);
            using CudaStream stream = CudaStream.Borrow(borrowed, ownedStream.Handle);
            stream.Synchronize();
        }

        ownedStream.Synchronize();
        Assert.True(ownedStream.IsIdle);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Memory_keeps_what_is_copied_to_it(bool streamOrdered)
    {
        using CudaContext context = CudaMachine.Open();
        using CudaStream stream = CudaStream.Create(context);
        using DeviceMemory memory = DeviceMemory.Allocate(context, Count * sizeof(float), streamOrdered ? stream : null);
        using DeviceMemory copy = DeviceMemory.Allocate(context, Count * sizeof(float), streamOrdered ? stream : null);
        Assert.Equal(0UL, memory.Pointer % 256);
        float[] values = [.. Enumerable.Range(0, Count).Select(i => i * 0.5f)];
        stream.CopyToDeviceAndWait<float>(memory.Pointer, values);
        stream.Copy(copy.Pointer, memory.Pointer, memory.Bytes);
        float[] back = new float[Count];
        stream.CopyToHostAndWait<float>(back, copy.Pointer);
        Assert.Equal(values, back);

        stream.Fill(copy.Pointer, BitConverter.SingleToUInt32Bits(3), Count);
        stream.Clear(copy.Pointer + 4, 8);
        stream.CopyToHostAndWait<float>(back, copy.Pointer);
        Assert.Equal([3, 0, 0, 3], back[..4]);
        Assert.Equal(3, back[^1]);
    }

    [Fact]
    public void Rows_are_copied_between_pitches()
    {
        using CudaContext context = CudaMachine.Open();
        using CudaStream stream = CudaStream.Create(context);
        using DeviceMemory source = DeviceMemory.Allocate(context, 6 * sizeof(int), stream);
        using DeviceMemory wide = DeviceMemory.Allocate(context, 15 * sizeof(int), stream);
        stream.CopyToDeviceAndWait<int>(source.Pointer, [1, 2, 3, 4, 5, 6]);
        stream.Clear(wide.Pointer, wide.Bytes);

        // Three rows of two values into the columns 3 and 4 of five.
        stream.CopyRows(wide.Pointer + 12, 20, source.Pointer, 8, 8, 3);
        int[] back = new int[15];
        stream.CopyToHostAndWait<int>(back, wide.Pointer);
        Assert.Equal([0, 0, 0, 1, 2, 0, 0, 0, 3, 4, 0, 0, 0, 5, 6], back);
    }

    [Fact]
    public void Pinned_memory_is_copied_asynchronously_and_events_tell_when()
    {
        using CudaContext context = CudaMachine.Open();
        using CudaStream stream = CudaStream.Create(context);
        using CudaStream other = CudaStream.Create(context);
        using CudaEvent start = CudaEvent.Create(context, timing: true);
        using CudaEvent done = CudaEvent.Create(context, timing: true);
        using PinnedMemory host = PinnedMemory.Allocate(context, 2 * Count);
        using DeviceMemory memory = DeviceMemory.Allocate(context, Count, stream);
        host.AsSpan<byte>(0, Count).Fill(7);
        host.AsSpan<byte>(Count, Count).Clear();
        start.Record(stream);
        stream.CopyToDevice(memory.Pointer, host.Pointer, Count);
        done.Record(stream);
        other.Wait(done);
        other.CopyToHost(host.Pointer + Count, memory.Pointer, Count);
        other.Synchronize();
        Assert.True(done.IsDone);
        Assert.True(done.MillisecondsSince(start) >= 0);
        Assert.Equal(-1, host.AsSpan<byte>(Count, Count).IndexOfAnyExcept((byte)7));
        Assert.Throws<ArgumentOutOfRangeException>(() => host.AsSpan<int>(0, Count).Length);
    }

    [Fact]
    public void The_pool_tells_what_it_holds_and_gives_it_back_when_trimmed()
    {
        const long Bytes = 1 << 20;
        using CudaContext context = CudaMachine.Open();
        Assert.SkipUnless(context.Device.SupportsMemoryPools, $"{context.Device.Name} has no memory pools");
        using CudaStream stream = CudaStream.Create(context);
        Assert.Equal((0, 0), context.PoolMemory);
        using (DeviceMemory.Allocate(context, Bytes, stream))
        {
            stream.Synchronize();
            (long reserved, long used) = context.PoolMemory;
            Assert.InRange(used, Bytes, reserved);
        }

        stream.Synchronize();
        Assert.Equal(0, context.PoolMemory.Used);
        context.TrimPool();
        Assert.Equal((0, 0), context.PoolMemory);
    }

    [Fact]
    public void Memory_outlives_the_disposal_of_its_stream()
    {
        using CudaContext context = CudaMachine.Open();
        CudaStream stream = CudaStream.Create(context);
        DeviceMemory memory = DeviceMemory.Allocate(context, 64, stream);
        stream.Dispose();
        Assert.Throws<ObjectDisposedException>(() => stream.Handle);
        memory.Dispose();
        Assert.Equal(0, context.LiveResources);
        Assert.Null(context.ReleaseFailure);
    }

    [Fact]
    public void A_kernel_runs_with_its_arguments()
    {
        using CudaContext context = CudaMachine.Open();
        using CudaStream stream = CudaStream.Create(context);
        using CudaModule module = CudaModule.Load(context, "scale.ptx", Encoding.UTF8.GetBytes(ScalePtx));
        CudaFunction scale = module.GetFunction("scale");
        Assert.True(scale.MaxThreadsPerBlock >= 128);
        using DeviceMemory source = DeviceMemory.Allocate(context, Count * sizeof(float), stream);
        using DeviceMemory destination = DeviceMemory.Allocate(context, Count * sizeof(float), stream);
        float[] values = Values();
        stream.CopyToDeviceAndWait<float>(source.Pointer, values);
        Launch(scale, stream, source, destination, 3);
        float[] back = new float[Count];
        stream.CopyToHostAndWait<float>(back, destination.Pointer);
        Assert.Equal(values.Select(v => 3 * v), back);
    }

    [Fact]
    public void A_captured_graph_runs_when_it_is_launched_and_not_before()
    {
        using CudaContext context = CudaMachine.Open();
        using CudaStream stream = CudaStream.Create(context);
        using CudaModule module = CudaModule.Load(context, "scale.ptx", Encoding.UTF8.GetBytes(ScalePtx), lineInfo: true);
        CudaFunction scale = module.GetFunction("scale");
        using DeviceMemory source = DeviceMemory.Allocate(context, Count * sizeof(float), stream);
        using DeviceMemory destination = DeviceMemory.Allocate(context, Count * sizeof(float), stream);
        float[] values = Values();
        stream.CopyToDeviceAndWait<float>(source.Pointer, values);
        stream.Clear(destination.Pointer, destination.Bytes);

        // Twice: source to destination, then in place.
        using CudaGraph graph = CudaGraph.Capture(stream, () =>
        {
            Assert.True(stream.IsCapturing);
            Launch(scale, stream, source, destination, 2);
            Launch(scale, stream, destination, destination, 4);
        });
        Assert.False(stream.IsCapturing);
        Assert.Equal(2, graph.Nodes);
        float[] back = new float[Count];
        stream.CopyToHostAndWait<float>(back, destination.Pointer);
        Assert.Equal(-1, back.AsSpan().IndexOfAnyExcept(0f));

        graph.Upload(stream);
        for (int replay = 0; replay < 2; replay++)
        {
            graph.Launch(stream);
            stream.CopyToHostAndWait<float>(back, destination.Pointer);
            Assert.Equal(values.Select(v => 8 * v), back);
            stream.Clear(destination.Pointer, destination.Bytes);
        }
    }

    [Fact]
    public void Queueing_work_allocates_nothing_on_the_host()
    {
        using CudaContext context = CudaMachine.Open();
        using CudaStream stream = CudaStream.Create(context);
        using CudaModule module = CudaModule.Load(context, "scale.ptx", Encoding.UTF8.GetBytes(ScalePtx));
        CudaFunction scale = module.GetFunction("scale");
        using DeviceMemory memory = DeviceMemory.Allocate(context, Count * sizeof(float), stream);
        using CudaEvent done = CudaEvent.Create(context);
        stream.Clear(memory.Pointer, memory.Bytes);
        using CudaGraph graph = CudaGraph.Capture(stream, () => Launch(scale, stream, memory, memory, 2));
        Queue();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Queue();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        stream.Synchronize();

        void Queue()
        {
            stream.Copy(memory.Pointer, memory.Pointer + 64, 64);
            stream.Fill(memory.Pointer, 0, 4);
            Launch(scale, stream, memory, memory, 3);
            graph.Launch(stream);
            done.Record(stream);
        }
    }

    [Fact]
    public void A_failed_recording_leaves_the_stream_usable()
    {
        using CudaContext context = CudaMachine.Open();
        using CudaStream stream = CudaStream.Create(context);
        Assert.Throws<InvalidOperationException>(() => CudaGraph.Capture(stream, () => throw new InvalidOperationException("of the recording")));
        Assert.False(stream.IsCapturing);

        // Waiting for the stream cannot be recorded; the driver says so and the stream is free again.
        CudaException refused = Assert.Throws<CudaException>(() => CudaGraph.Capture(stream, stream.Synchronize));
        Assert.True(refused.IsCaptureRefusal, refused.Message);
        Assert.False(stream.IsCapturing);
        stream.Synchronize();
    }

    [Fact]
    public void Bad_ptx_fails_with_the_compilers_words()
    {
        using CudaContext context = CudaMachine.Open();
        string bad = ScalePtx.Replace("mul.rn.f32", "mul.nonsense.f32", StringComparison.Ordinal);
        CudaException failure = Assert.Throws<CudaException>(() => CudaModule.Load(context, "bad.ptx", Encoding.UTF8.GetBytes(bad)));
        Assert.Equal("cuModuleLoadDataEx", failure.Function);
        Assert.Contains("module bad.ptx", failure.Message, StringComparison.Ordinal);
        Assert.True(failure.Message.Contains('\n', StringComparison.Ordinal), "no compiler log: " + failure.Message);
    }

    [Fact]
    public void A_missing_kernel_is_named()
    {
        using CudaContext context = CudaMachine.Open();
        using CudaModule module = CudaModule.Load(context, "scale.ptx", Encoding.UTF8.GetBytes(ScalePtx));
        CudaException failure = Assert.Throws<CudaException>(() => module.GetFunction("scael"));
        Assert.Equal("CUDA_ERROR_NOT_FOUND", failure.CodeName);
        Assert.Contains("kernel scael of module scale.ptx", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void More_memory_than_there_is_fails_with_both_numbers_and_the_context_goes_on(bool streamOrdered)
    {
        using CudaContext context = CudaMachine.Open();
        using CudaStream stream = CudaStream.Create(context);
        const long TooMuch = 1L << 46;
        DeviceOutOfMemoryException failure = Assert.Throws<DeviceOutOfMemoryException>(
            () => DeviceMemory.Allocate(context, TooMuch, streamOrdered ? stream : null));
        Assert.Equal(TooMuch, failure.RequestedBytes);
        Assert.NotNull(failure.FreeBytes);
        DeviceMemory.Allocate(context, 256, streamOrdered ? stream : null).Dispose();
        Assert.Equal(1, context.LiveResources);
    }

    [Fact]
    public void What_is_dropped_is_counted_and_released_later()
    {
        using CudaContext context = CudaMachine.Open();
        Drop(context);
        for (int i = 0; i < 10 && context.ForgottenResources == 0; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        Assert.Equal(1, context.ForgottenResources);
        Assert.Equal(1, context.LiveResources);
        context.Synchronize();
        Assert.Equal(0, context.LiveResources);

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        static void Drop(CudaContext context) => _ = DeviceMemory.Allocate(context, 256);
    }

    [Fact]
    public void The_probe_finds_the_device_it_runs_on()
    {
        CudaMachine.Open().Dispose();
        CudaReport report = CudaProbe.Run(withFreeMemory: true);
        Assert.NotNull(report.DriverVersion);
        Assert.Null(report.Devices[0].Problem);
        Assert.True(report.Devices[0].FreeBytes > 0);
        Assert.Equal(["CUDA driver", "cuBLASLt", "cuBLAS", "cuFFT", "cuDNN 9"], report.Libraries.Select(l => l.Name));
        Assert.All(report.Libraries, l => Assert.True(l.Problem is not null || (l.Path is not null && l.Version is not null), l.Name));
        Assert.Equal(report.Problem is null, CudaProbe.WhyUnusable(0) is null);
        Assert.Contains("There is no cuda:99", CudaProbe.WhyUnusable(99), StringComparison.Ordinal);
    }

    private static float[] Values() => [.. Enumerable.Range(0, Count).Select(i => (i - 500) * 0.25f)];

    private static void Launch(CudaFunction scale, CudaStream stream, DeviceMemory source, DeviceMemory destination, float factor)
    {
        KernelArguments arguments = default;
        arguments.Add(source.Pointer);
        arguments.Add(destination.Pointer);
        arguments.Add(factor);
        arguments.Add((ulong)Count);
        scale.Launch(stream, new LaunchShape((Count + 127) / 128, 128), arguments);
    }
}
