using Stig.Interop.Cuda;
using Stig.Interop.Cuda.Fft;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Execution.Cuda;

/// <summary>Transforms: a kernel that loads, cuFFT in place in the work area, a kernel that stores.</summary>
internal static class CudaSpectrum
{
    public static IEnumerable<Action> Forward(CudaLowering io, LogSpectrum operation)
    {
        CudaView src = io.In(0);
        CudaView magnitude = io.Out();
        CudaView? phasor = io.OptionalOut(1);
        Transform transform = Prepare(io, src.Shape);
        CudaExecutor executor = io.Executor;
        return
        [
            () => Call(executor, "spectrum_load", src.Shape).With(src.Address).With(transform.Buffer).WithExtents(src.Shape).With(src.Stride).Queue(),
            () => transform.Execute(FftDirection.Forward),
            () => Call(executor, "log_spectrum", src.Shape).With(transform.Buffer).With(magnitude.Address).With(phasor?.Address ?? 0).WithExtents(src.Shape)
                .With(magnitude.Stride).With(phasor?.Stride ?? 0L).Queue(),
        ];
    }

    public static IEnumerable<Action> Inverse(CudaLowering io, InverseSpectrum operation)
    {
        CudaView magnitude = io.In(0);
        CudaView phasor = io.In(1);
        CudaView dst = io.Out();
        CudaView? field = io.OptionalOut(1);
        Transform transform = Prepare(io, magnitude.Shape);
        CudaExecutor executor = io.Executor;
        return
        [
            () => Call(executor, "inverse_spectrum_load", dst.Shape).With(magnitude.Address).With(phasor.Address).With(transform.Buffer).WithExtents(dst.Shape)
                .With(magnitude.Stride).With(phasor.Stride).Queue(),
            () => transform.Execute(FftDirection.Inverse),
            () => Call(executor, "inverse_spectrum_store", dst.Shape).With(transform.Buffer).With(dst.Address).With(field?.Address ?? 0).WithExtents(dst.Shape)
                .With(dst.Stride).With(field?.Stride ?? 0L).With((int)operation.Component).With((int)operation.FinalShift).Queue(),
        ];
    }

    private static Transform Prepare(CudaLowering io, Shape shape)
    {
        FftPlan plan = io.Program.Share(("fft", shape), () =>
            io.Program.Own(FftPlan.Create(io.Executor.Context, FftType.ComplexToComplex, shape.H, shape.W, shape.N * shape.C)));
        var transform = new Transform(io.Program, io.Executor, plan, Align(shape.Count * 2 * sizeof(float)));
        io.NeedScratch(transform.BufferBytes + plan.WorkBytes);
        return transform;
    }

    private static long Align(long bytes) => (bytes + 255) / 256 * 256;

    private static KernelCall Call(CudaExecutor executor, string entry, Shape shape) => KernelCall.ForItems(executor, entry, shape.Count);

    private static KernelCall WithExtents(this KernelCall call, Shape shape) =>
        call.With((long)shape.N).With((long)shape.C).With((long)shape.H).With((long)shape.W);

    // The complex buffer, then cuFFT's work area, both in the program's scratch.
    private sealed class Transform(CudaProgram program, CudaExecutor executor, FftPlan plan, long bufferBytes)
    {
        public long BufferBytes => bufferBytes;

        public ulong Buffer => program.Scratch;

        public void Execute(FftDirection direction)
        {
            plan.SetStream(executor.Stream);
            plan.SetWorkArea(program.Scratch + (ulong)bufferBytes);
            plan.Execute(Buffer, Buffer, direction);
        }
    }
}
