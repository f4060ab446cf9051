//! Products of activations with several matrices side by side, with what stands
//! directly before and after them.
use super::Rows;
#[cfg(feature = "cuda")]
use super::device::{DeviceMatrix, DeviceRows, Values, gpu_error, with_view};
use super::matrix::Matrix;
use super::norm::RmsNorm;
use super::slice::{host, with_host};
use crate::base::Pool;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Module, Result, Shape, Tensor, bail};
use candle_nn::ops::silu;
use egss_kernels::{
    DenseMatrix, FloatRows, Isa, PackedMatrix, Part, QuantizedRows, Scales, multiply,
    multiply_dense, rms_norm, silu_gate,
};

/// What a product takes of its input rows.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// `x: [T, in]` as it is.
    Plain,
    /// `rms_norm(x)`, `x: [T, in]`.
    Normed(&'a RmsNorm),
    /// `silu(gate) * up` of `x: [T, 2 in]`, gate before up.
    Gated,
}

/// Matrices with one input, `[out, in]` each, whose outputs stand side by side.
pub struct Projection {
    members: Vec<Member>,
    n: usize,
    k: usize,
    /// All members' weights and biases, where a GPU's kernels have them: the only member
    /// then.
    #[cfg(feature = "cuda")]
    bias: Option<Tensor>,
}

/// One matrix and what is added to its outputs.
struct Member {
    matrix: Matrix,
    bias: Option<Bias>,
}

/// A bias `[out]`, where its matrix wants it.
enum Bias {
    Host(Vec<f32>),
    Composite(Tensor),
}

impl Projection {
    /// Matrices with their biases `[out]` f32, in the order of the output.
    pub fn new(parts: Vec<(Matrix, Option<Tensor>)>) -> Result<Self> {
        let (mut n, mut k) = (0, None);
        for (matrix, bias) in &parts {
            let (rows, columns) = matrix.dims2()?;
            if k.is_some_and(|k| k != columns) {
                bail!("projection: matrices over {k:?} and {columns} inputs");
            }
            if let Some(bias) = bias
                && bias.dims() != [rows]
            {
                bail!("projection: a bias of {:?} for {rows} outputs", bias.dims());
            }
            n += rows;
            k = Some(columns);
        }
        #[cfg(feature = "cuda")]
        let (parts, bias) = stacked(parts)?;
        let members = parts.into_iter().map(|(matrix, bias)| {
            let bias = bias.map(|bias| match &matrix {
                Matrix::Packed(_) | Matrix::Dense(_) => Ok(Bias::Host(bias.to_vec1()?)),
                _ => Result::Ok(Bias::Composite(bias)),
            });
            Ok(Member {
                bias: bias.transpose()?,
                matrix,
            })
        });
        let members = members.collect::<Result<_>>()?;
        match k {
            Some(k) => Ok(Self {
                members,
                n,
                k,
                #[cfg(feature = "cuda")]
                bias,
            }),
            None => bail!("projection: no matrix"),
        }
    }

    /// The only matrix there is.
    pub fn single(matrix: Matrix) -> Result<Self> {
        Self::new(vec![(matrix, None)])
    }

    /// The first matrix.
    pub fn matrix(&self) -> &Matrix {
        &self.members[0].matrix
    }

    /// [`Matrix::rows_are_independent`] of all.
    pub fn rows_are_independent(&self) -> bool {
        let mut members = self.members.iter();
        members.all(|member| member.matrix.rows_are_independent())
    }

    /// Bytes of the matrices.
    pub fn bytes(&self) -> usize {
        let members = self.members.iter();
        members.map(|member| member.matrix.bytes()).sum()
    }

    /// `x Wᵀ + b`, and `onto` added where it is given: `[T, out]` f32.
    ///
    /// Cost: each weight's bits are read once for all rows.
    pub fn forward(&self, x: &Rows, input: Input<'_>, onto: Option<&Rows>) -> Result<Rows> {
        match x {
            Rows::Tensor(x) => {
                let onto = onto.map(Rows::tensor).transpose()?;
                Ok(self.forward_tensor(x, input, onto)?.into())
            }
            #[cfg(feature = "cuda")]
            Rows::Device(x) => self.forward_device(x, input, onto),
        }
    }

    pub(super) fn forward_tensor(
        &self,
        x: &Tensor,
        input: Input<'_>,
        onto: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (t, width) = x.dims2()?;
        let want = match input {
            Input::Gated => 2 * self.k,
            _ => self.k,
        };
        if t == 0 || width != want || onto.is_some_and(|onto| onto.dims() != [t, self.n]) {
            bail!(
                "projection of {want} inputs to {} outputs: x [{t}, {width}], onto {:?}",
                self.n,
                onto.map(Tensor::dims)
            );
        }
        let parts: Option<Vec<Operand<'_>>> = self.members.iter().map(Member::operand).collect();
        let Some(parts) = parts else {
            return self.composite(x, input, onto);
        };
        // Norms and gates on the way to a product take whole vectors.
        let (x, input) = match self.k.is_multiple_of(VECTOR) {
            true => (x, input),
            false => (&self.applied(x, input)?, Input::Plain),
        };
        let op = Product {
            parts,
            input,
            n: self.n,
            k: self.k,
        };
        match onto {
            Some(onto) => x.apply_op2_no_bwd(onto, &op),
            None => x.apply_op1_no_bwd(&op),
        }
    }

    /// The same, one operation after the other.
    fn composite(&self, x: &Tensor, input: Input<'_>, onto: Option<&Tensor>) -> Result<Tensor> {
        let x = self.applied(x, input)?;
        let parts = self.members.iter().map(|member| member.forward(&x));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let y = match parts.as_slice() {
            [only] => only.clone(),
            parts => Tensor::cat(parts, 1)?,
        };
        match onto {
            Some(onto) => onto + y,
            None => Ok(y),
        }
    }

    /// What stands before the product, by candle's operations: `[T, in]`.
    fn applied(&self, x: &Tensor, input: Input<'_>) -> Result<Tensor> {
        match input {
            Input::Plain => Ok(x.clone()),
            Input::Normed(norm) => norm.forward_tensor(x),
            Input::Gated => {
                let gate = x.narrow(1, 0, self.k)?.contiguous()?;
                silu(&gate)? * x.narrow(1, self.k, self.k)?
            }
        }
    }
}

/// What comes before and after a product on a GPU.
#[cfg(feature = "cuda")]
impl Projection {
    fn matrix_on_device(&self) -> Result<&DeviceMatrix> {
        match &self.members[0].matrix {
            Matrix::Device(matrix) => Ok(matrix),
            _ => bail!("rows of a GPU's kernels for a matrix that is not there"),
        }
    }

    fn forward_device(
        &self,
        x: &DeviceRows,
        input: Input<'_>,
        onto: Option<&Rows>,
    ) -> Result<Rows> {
        let want = match input {
            Input::Gated => 2 * self.k,
            _ => self.k,
        };
        let onto = match onto {
            None => None,
            Some(Rows::Device(onto)) if (onto.t, onto.width) == (x.t, self.n) => {
                Some(onto.floats()?)
            }
            Some(onto) => bail!("a projection onto rows {:?}", onto.dims2()?),
        };
        if x.t == 0 || x.width != want {
            bail!("projection of {want} inputs: x [{}, {}]", x.t, x.width);
        }
        let matrix = self.matrix_on_device()?;
        let product = |x16| matrix.multiply(x16, x.t, self.bias.as_ref(), onto);
        let y = match (&x.values, input) {
            (Values::Bf16(x16), Input::Plain) => product(x16.view())?,
            (Values::F32(x), Input::Plain) => {
                let x16 = matrix.gpu.to_bf16(x.view()).map_err(gpu_error)?;
                product(x16.view())?
            }
            (_, Input::Normed(norm)) => product(normed(x, norm)?.view())?,
            (_, Input::Gated) => {
                let x16 = matrix.gpu.silu_gate(x.floats()?, self.k);
                product(x16.map_err(gpu_error)?.view())?
            }
        };
        Ok(Rows::Device(DeviceRows::f32(&matrix.gpu, y, self.n)))
    }

    /// `silu(gate) * up` behind this projection to both of normed rows, where that goes
    /// in one: few rows on a GPU.
    pub(super) fn gated(&self, x: &Rows, norm: &RmsNorm) -> Result<Option<Rows>> {
        let Rows::Device(x) = x else { return Ok(None) };
        let matrix = self.matrix_on_device()?;
        if self.bias.is_some() || x.t > egss_kernels::cuda::PRODUCT_ROWS_MAX {
            return Ok(None);
        }
        let gated = matrix.multiply_gated(normed(x, norm)?.view(), x.t)?;
        Ok(gated.map(|y| Rows::Device(DeviceRows::bf16(&matrix.gpu, y, self.n / 2))))
    }
}

#[cfg(feature = "cuda")]
fn normed(
    x: &DeviceRows,
    norm: &RmsNorm,
) -> Result<egss_kernels::cuda::Buffer<egss_kernels::cuda::bf16>> {
    with_view(&x.gpu, norm.weight(), |weight| {
        let y = x.gpu.rms_norm_bf16(x.floats()?, weight, norm.eps());
        y.map_err(gpu_error)
    })?
}

/// Matrices on a GPU as one, with one bias.
#[cfg(feature = "cuda")]
#[allow(clippy::type_complexity)]
fn stacked(
    parts: Vec<(Matrix, Option<Tensor>)>,
) -> Result<(Vec<(Matrix, Option<Tensor>)>, Option<Tensor>)> {
    let on_device = |(matrix, _): &(Matrix, Option<Tensor>)| matches!(matrix, Matrix::Device(_));
    if parts.is_empty() || !parts.iter().all(on_device) {
        return Ok((parts, None));
    }
    let biased = parts.iter().find_map(|(_, bias)| bias.as_ref());
    let Some(device) = biased.map(|bias| bias.device().clone()) else {
        let matrices = parts.into_iter().map(|(matrix, _)| matrix);
        return Ok((vec![(stacked_matrix(matrices)?, None)], None));
    };
    let bias_of = |(matrix, bias): &(Matrix, Option<Tensor>)| match bias {
        Some(bias) => Ok(bias.clone()),
        None => Tensor::zeros(matrix.dims2()?.0, candle_core::DType::F32, &device),
    };
    let biases = parts.iter().map(bias_of).collect::<Result<Vec<_>>>()?;
    let bias = Tensor::cat(&biases, 0)?.contiguous()?;
    let matrices = parts.into_iter().map(|(matrix, _)| matrix);
    Ok((vec![(stacked_matrix(matrices)?, None)], Some(bias)))
}

#[cfg(feature = "cuda")]
fn stacked_matrix(matrices: impl Iterator<Item = Matrix>) -> Result<Matrix> {
    let on_device = matrices.filter_map(|matrix| match matrix {
        Matrix::Device(matrix) => Some(matrix),
        _ => None,
    });
    Ok(Matrix::Device(DeviceMatrix::stacked(on_device.collect())?))
}

impl Member {
    /// What the CPU's kernels take, where the matrix is theirs.
    fn operand(&self) -> Option<Operand<'_>> {
        let weights = match &self.matrix {
            Matrix::Packed(weights) => Weights::Packed(weights),
            Matrix::Dense(weights) => Weights::Dense(weights),
            _ => return None,
        };
        let bias = match &self.bias {
            Some(Bias::Host(bias)) => Some(bias.as_slice()),
            _ => None,
        };
        Some(Operand { weights, bias })
    }

    /// `x Wᵀ + b` for `x: [T, in]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match (&self.matrix, &self.bias) {
            (Matrix::Packed(_) | Matrix::Dense(_), _) => {
                let (n, k) = self.matrix.dims2()?;
                x.apply_op1_no_bwd(&Product {
                    parts: Vec::from_iter(self.operand()),
                    input: Input::Plain,
                    n,
                    k,
                })
            }
            (Matrix::Composite(weights), Some(Bias::Composite(bias))) => {
                weights.forward(x)?.broadcast_add(bias)
            }
            (Matrix::Composite(weights), _) => weights.forward(x),
            #[cfg(feature = "cuda")]
            (Matrix::Device(_), _) => bail!("a tensor for a GPU's kernels"),
        }
    }
}

/// Numbers of a vector of the CPU's kernels.
const VECTOR: usize = 16;

/// A matrix that the CPU's kernels multiply.
#[derive(Clone, Copy)]
enum Weights<'a> {
    Packed(&'a PackedMatrix),
    Dense(&'a DenseMatrix),
}

/// Such a matrix and its bias.
#[derive(Clone, Copy)]
struct Operand<'a> {
    weights: Weights<'a>,
    bias: Option<&'a [f32]>,
}

struct Product<'a> {
    parts: Vec<Operand<'a>>,
    input: Input<'a>,
    n: usize,
    k: usize,
}

impl Product<'_> {
    /// `x` to `out: [rows, n]`, added where `add`.
    fn run(&self, x: &[f32], rows: usize, add: bool, out: &mut [f32]) -> Result<()> {
        let (mut packed, mut dense) = (Vec::new(), Vec::new());
        let mut column = 0;
        for &Operand { weights, bias } in &self.parts {
            column += match weights {
                Weights::Packed(weights) => {
                    packed.push(part(weights, bias, column));
                    weights.n()
                }
                Weights::Dense(weights) => {
                    dense.push(part(weights, bias, column));
                    weights.n()
                }
            };
        }
        let (isa, n, k) = (Isa::best(), self.n, self.k);
        // Formats that scale their input alike share the quantised rows.
        for scales in [Scales::EachBlock32, Scales::EachBlock256] {
            let parts = packed.iter().copied();
            let parts: Vec<_> = parts
                .filter(|part| part.weights.format().scales() == scales)
                .collect();
            if !parts.is_empty() {
                self.with_input(x, |fill| {
                    let lhs = QuantizedRows::new(isa, rows, k, scales, fill, &Pool);
                    multiply(isa, &lhs, &parts, add, out, n, &Pool);
                })?;
            }
        }
        if !dense.is_empty() {
            self.with_input(x, |fill| {
                let lhs = FloatRows::new(rows, k, fill, &Pool);
                multiply_dense(isa, &lhs, &dense, add, out, n, &Pool);
            })?;
        }
        Ok(())
    }

    /// Calls `f` with what gives the product's input row by row.
    fn with_input(
        &self,
        x: &[f32],
        f: impl FnOnce(&(dyn Fn(usize, &mut [f32]) + Sync)),
    ) -> Result<()> {
        let k = self.k;
        let row = |row: usize, width: usize| &x[row * width..(row + 1) * width];
        match self.input {
            Input::Plain => f(&|r, out| out.copy_from_slice(row(r, k))),
            Input::Normed(norm) => with_host(norm.weight(), |weight| {
                f(&|r, out| rms_norm(Isa::best(), row(r, k), weight, norm.eps(), out))
            })?,
            Input::Gated => f(&|r, out| {
                let (gate, up) = row(r, 2 * k).split_at(k);
                silu_gate(Isa::best(), gate, up, out)
            }),
        }
        Ok(())
    }
}

fn part<'a, M>(weights: &'a M, bias: Option<&'a [f32]>, column: usize) -> Part<'a, M> {
    Part {
        weights,
        bias,
        column,
    }
}

impl CustomOp1 for Product<'_> {
    fn name(&self) -> &'static str {
        "projection"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let rows = layout.dims()[0];
        let mut out = vec![0f32; rows * self.n];
        self.run(host(x, layout)?, rows, false, &mut out)?;
        Ok((CpuStorage::F32(out), Shape::from((rows, self.n))))
    }
}

impl CustomOp2 for Product<'_> {
    fn name(&self) -> &'static str {
        "projection_onto"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        onto: &CpuStorage,
        onto_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let rows = layout.dims()[0];
        let mut out = host(onto, onto_layout)?.to_vec();
        self.run(host(x, layout)?, rows, true, &mut out)?;
        Ok((CpuStorage::F32(out), Shape::from((rows, self.n))))
    }
}

#[cfg(test)]
#[path = "projection_tests.rs"]
mod tests;
