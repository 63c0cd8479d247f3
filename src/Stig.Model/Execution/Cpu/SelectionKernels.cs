using Stig.Interop;
using Stig.Model.Graphs;
using Stig.Model.Operations;
using static Stig.Interop.NativeMethods;

namespace Stig.Model.Execution.Cpu;

/// <summary>Joining and cutting: copies, and only of what the memory plan could not put in its place.</summary>
internal static unsafe class SelectionKernels
{
    public static IEnumerable<CpuStep> Concat(CpuLowering io, Concat operation)
    {
        List<CpuStep> copies = [];
        Value whole = io.Node.Outputs[0];
        int start = 0;
        for (int part = 0; part < io.Node.Inputs.Count; part++)
        {
            Value value = io.Node.Inputs[part];
            ViewOffset offset = operation.Axis == Axis.Batch ? new ViewOffset(start, 0) : new ViewOffset(0, start);
            if (!io.LiesIn(value, whole, offset))
            {
                NativeTensor* from = io.In(part);
                NativeTensor* to = io.Part(whole, value.Type, offset);
                copies.Add(() => stig_copy(from, to));
            }

            start += value.Shape[(int)operation.Axis];
        }

        return copies;
    }

    public static IEnumerable<CpuStep> View(CpuLowering io, Operation operation)
    {
        Value source = io.Node.Inputs[0];
        Value result = io.Node.Outputs[0];
        ViewOffset offset = operation.ViewOfInput!.Value;
        if (io.LiesIn(result, source, offset))
        {
            return [];
        }

        NativeTensor* from = io.Part(source, result.Type, offset);
        NativeTensor* to = io.Out();
        return [() => stig_copy(from, to)];
    }

    public static IEnumerable<CpuStep> Embed(CpuLowering io, Embed operation)
    {
        NativeTensor* from = io.In(0);
        NativeTensor* whole = io.Out();
        NativeTensor* to = io.Part(io.Node.Outputs[0], io.Node.Inputs[0].Type, operation.Offset);
        return [() => stig_fill(whole, 0f), () => stig_copy(from, to)];
    }

    public static IEnumerable<CpuStep> Flatten(CpuLowering io, Flatten operation)
    {
        NativeTensor* from = io.In(0);
        NativeTensor* to = io.RowsAsImages(io.Out(), from);
        return from->Data == to->Data ? [] : [() => stig_copy(from, to)];
    }

    public static CpuStep Unflatten(CpuLowering io, Unflatten operation)
    {
        NativeTensor* to = io.Out();
        NativeTensor* from = io.RowsAsImages(io.In(0), to);
        return () => stig_copy(from, to);
    }
}
